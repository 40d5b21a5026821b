"""The broker of a station or a replay, for a question: the one that runs, or the embedded one inside this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from nomadwatch.connect import await_broker
from nomadwatch.errors import Misuse
from nomadwatch.settings import Settings
from nomadwatch.state import InUse, Kept, State, default_folder, log_of, read_kept
from nomadwatch.terminal.console import tell


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[str]:
    """Run a broker on the log of a data folder, in this event loop; yields its address."""
    from broker.server import Broker

    broker = Broker(log_of(folder))
    await broker.start()
    try:
        yield f"{broker.host}:{broker.port}"
    finally:
        await broker.stop()


@asynccontextmanager
async def station(settings: Settings) -> AsyncIterator[tuple[str, Kept]]:
    """The address of a broker that answers, and what is kept about its topics.

    It is the broker of the data folder that the settings name, whether a station runs on it or not; else the broker
    that they name; else the broker of the folder that `up` uses. Raises Misuse if the folder holds no state, Failure if
    no broker answers.
    """
    if not settings.data_dir and settings.broker:
        await await_broker(settings.broker, settings.broker_wait, tell)
        yield settings.broker, Kept(broker=settings.broker, prefix=settings.prefix, partitions=settings.partitions)
        return
    folder = Path(settings.data_dir or default_folder())
    kept = read_kept(folder)
    if kept is None and not settings.data_dir:
        raise Misuse(
            f"no station has its state in {folder}: start one with nomadwatch up, "
            "or name a data folder (--data-dir) or a broker (--broker)"
        )
    if kept is None:
        raise Misuse(f"{folder} holds no state; name the --data-dir of a station or a replay")
    state = None
    if not kept.broker:
        with suppress(InUse):
            state = State(str(folder))
    if state is not None:
        with state:
            async with embedded(folder) as address:
                yield address, kept
        return
    # The process that has the folder in use runs its broker.
    broker = kept.broker or f"127.0.0.1:{kept.port}"
    await await_broker(broker, settings.broker_wait, tell)
    yield broker, kept
