"""What the workers `count` and `measure` need of the settings."""

from pathlib import Path

from agents.config import Config
from nomadwatch.settings import Settings
from nomadwatch.state import Kept


def worker_config(settings: Settings, kept: Kept, bootstrap: str, folder: Path, pace: float = 1.0) -> Config:
    """The configuration of both workers. With a `pace` N above 1, a replay's, they write and publish N times more
    rarely, and keep everything.
    """
    return Config(
        bootstrap=bootstrap,
        prefix=kept.prefix,
        partitions=kept.partitions,
        data_dir=str(folder),
        checkpoint_interval=pace * settings.count.checkpoint_interval,
        refresh_interval=pace * settings.measure.refresh_interval,
        session_timeout=settings.count.session_timeout,
        dead_letters=settings.dead_letters,
        keep_everything=pace > 1,
    )
