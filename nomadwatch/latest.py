"""What a station or a replay knows now: of a data folder, whether something runs on it or not, or of a broker."""

import asyncio
from pathlib import Path

from nomadwatch.connect import await_broker
from nomadwatch.embedded import embedded
from nomadwatch.errors import Failure, Misuse
from nomadwatch.settings import Settings
from nomadwatch.state import Kept, State, read_kept
from sinks.board import Board
from sinks.report import Report, build
from sinks.topic import TopicReader
from streams.cursors import ARCHIVE, decode_cursor


def latest(settings: Settings) -> Report:
    """The report of the latest evaluation. Raises Misuse when neither a folder with state nor a broker is named."""
    if settings.data_dir:
        return asyncio.run(_of_folder(settings))
    if settings.broker:
        return asyncio.run(_of_broker(settings.broker, settings.prefix, settings))
    raise Misuse("whose report? name a data folder (--data-dir) or a broker (--broker)")


async def _of_folder(settings: Settings) -> Report:
    folder = Path(settings.data_dir)
    kept = read_kept(folder)
    if kept is None:
        raise Misuse(f"{folder} holds no state; name the --data-dir of a replay")
    if kept.broker:
        return await _of_broker(kept.broker, kept.prefix, settings)
    try:
        state = State(settings.data_dir)
    except Failure as in_use:
        if isinstance(in_use, Misuse):
            raise
        # A replay that runs has its broker running.
        return await _of_broker(f"127.0.0.1:{kept.port}", kept.prefix, settings)
    with state:
        async with embedded(folder) as address:
            return await _read(address, kept)


async def _of_broker(broker: str, prefix: str, settings: Settings) -> Report:
    await await_broker(broker, settings.broker_wait)
    return await _read(broker, Kept(broker=broker, prefix=prefix, partitions=settings.partitions))


async def _read(bootstrap: str, kept: Kept) -> Report:
    from streams.topics import Topics

    topics = Topics(prefix=kept.prefix, partitions=kept.partitions)
    board = Board()
    async with TopicReader.open(bootstrap, topics.measurements) as measurements, TopicReader.open(bootstrap, topics.cursors) as cursors:
        board.take(await measurements.read_to_end())
        reading = dict(await cursors.read_to_end()).get(ARCHIVE.encode())
    counts = decode_cursor(reading).counts if reading is not None else None
    return build(
        board.evaluation,
        board.measurements,
        files=counts.files if counts else None,
        dead_letters=counts.dead_letters if counts else None,
    )
