"""`nomadwatch activities`: the records of the topic `activity`, as a file that `replay` reads."""

import asyncio
import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
import msgspec
import zstandard

from nomadwatch.commands import options
from nomadwatch.errors import Misuse
from nomadwatch.logs import to_stderr
from nomadwatch.processes.embedded import station
from nomadwatch.settings import Settings, load
from nomadwatch.terminal import output

SUFFIXES: Final = (".activities.ndjson", ".activities.ndjson.gz", ".activities.ndjson.zst")
_PACKERS: Final[dict[str, Callable[[BinaryIO], Any]]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file, mode="wb", mtime=0),
    ".zst": lambda file: zstandard.ZstdCompressor().stream_writer(file, closefd=False),
}


@click.command("activities")
@options.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    default=options.STDOUT,
    help="NAME.activities.ndjson, .gz or .zst.  [default: stdout]",
)
@options.broker
@options.data_dir
@options.prefix
@options.partitions
def command(target: str, **flags: Any) -> None:
    """Write the activities of a station or a replay to a file that `replay` can read.

    The file has one activity a line, as JSON. It names actors by keyed hashes only, and holds the text of issues and
    discussions that were opened.

    The default is the station of `nomadwatch up`; --data-dir or --broker selects another.
    """
    to_stderr(verbose=False)
    write(load(flags).settings, target)


def write(settings: Settings, target: str) -> None:
    """Write one activity a line to a file, compressed as its suffix says, or to stdout (-).

    Prints the number on stderr. Raises Misuse, Failure.
    """
    if target != "-" and not target.endswith(SUFFIXES):
        raise Misuse(f"replay could not read {target}: let its name end in {', '.join(SUFFIXES)}")
    with _opened(target) as file:
        count = asyncio.run(_copy(settings, file))
    print(f"{count:,} activities", file=sys.stderr)


@contextmanager
def _opened(target: str) -> Iterator[Any]:
    if target == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    with output.whole(path, f"{target} cannot be written") as file:
        packer = _PACKERS.get(path.suffix)
        with packer(file) if packer else nullcontext(file) as packed:
            yield packed


async def _copy(settings: Settings, file: Any) -> int:
    """All partitions from their beginnings to what is committed now; a batch that came twice is written once."""
    from aiokafka import TopicPartition

    from streams.activity import decode_batch
    from streams.kafka import unpack
    from streams.kafka.consume import Guard, read_to_end, stop
    from streams.kafka.topics import Topics

    count = 0
    encode = msgspec.json.Encoder().encode
    async with station(settings) as (bootstrap, kept):
        topics = Topics(prefix=kept.prefix, partitions=kept.partitions)
        consumer = unpack.consumer(
            bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=8 << 20
        )
        try:
            await consumer.start()
            places = [TopicPartition(topics.activity, number) for number in range(topics.partitions)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            sequences: dict[tuple[int, str], int] = {}
            guard = Guard(topics.activity)
            async for place, records in read_to_end(consumer, places):
                for record in records:
                    batch = guard.read(decode_batch, record.value)
                    if batch is None:
                        continue
                    if batch.sequence is not None:
                        if batch.sequence <= sequences.get((place.partition, batch.feed), -1):
                            continue
                        sequences[place.partition, batch.feed] = batch.sequence
                    for activity in batch.activities:
                        file.write(encode(activity) + b"\n")
                    count += len(batch.activities)
        finally:
            await stop(consumer)
    return count
