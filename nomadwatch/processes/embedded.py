"""The embedded broker inside this process, for the moment of a question."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nomadwatch.state import log_of


@asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[str]:
    """A broker on a data folder's log, in this event loop; yields its address."""
    from broker.server import Broker

    broker = Broker(log_of(folder))
    await broker.start()
    try:
        yield f"{broker.host}:{broker.port}"
    finally:
        await broker.stop()
