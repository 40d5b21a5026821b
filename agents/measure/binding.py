"""The store and its topic: opened by one process at a time, and only if the one is a copy of the other."""

import asyncio
import fcntl
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.measure.store import DamagedStore, Store, checksum_of
from streams.errors import BrokerAway

logger = logging.getLogger("nomadwatch.measure")

# What a store is renamed to that is not to be lost.
SET_ASIDE: Final = ".damaged"
# Seconds to wait for a record that the broker has.
_PATIENCE: Final = 60.0


def lock(path: Path) -> int:
    """A lock beside the store that lives as long as this process: two of them would write every row twice.

    Raises RuntimeError where another process has it.
    """
    file = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        raise RuntimeError(f"another process measures in {path.parent}; end it, or name another data folder") from None
    return file


async def bound_store(
    path: Path, consumer: AIOKafkaConsumer, places: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
) -> Store:
    """The store at a path if it is a copy of the topic of these partitions, else a new one. The consumer stands behind
    what it holds.
    """
    firsts = await consumer.beginning_offsets(places)
    topic = places[0].topic
    # Where the topic still has its first record it can fill a new store.
    store = open_store(path, keep=any(firsts.values()))
    why = await _difference(store, consumer, firsts, ends)
    if why:
        store.close()
        store_anew(path, f"{path} is no copy of the topic {topic}: {why}", keep=True)
        store = Store(path)
    store.topic = topic
    for place in places:
        held, first = store.places.get(place.partition), firsts[place]
        if held is not None and held.next < first:
            logger.warning(
                "partition %d of %s: records %d to %d were deleted before they were measured",
                place.partition, topic, held.next, first - 1,
            )  # fmt: skip
        consumer.seek(place, first if held is None else max(held.next, first))
    return store


async def _difference(
    store: Store, consumer: AIOKafkaConsumer, firsts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> str:
    """Why the store is no copy of the topic as the broker has it; empty where it is one.

    Raises BrokerAway where the broker does not give a record that it has.
    """
    partitions = {place.partition for place in firsts}
    if unknown := store.places.keys() - partitions:
        return f"it has a partition {max(unknown)}"
    for place, first in firsts.items():
        if store.topic not in (None, place.topic):
            return f"it is one of {store.topic}"
        held = store.places.get(place.partition)
        if held is None:
            continue
        if held.next > ends[place]:
            return f"partition {place.partition} ends at {ends[place]}, and the store holds it up to {held.next}"
        if held.next <= first:
            # The topic has forgotten what could be compared.
            continue
        last = held.next - 1
        consumer.seek(place, last)
        try:
            record = await asyncio.wait_for(consumer.getone(place), _PATIENCE)
        except TimeoutError:
            raise BrokerAway(
                f"the broker gives nothing of {place.topic}, partition {place.partition}, at {last}"
            ) from None
        if record.offset != last or checksum_of(record.value or b"") != held.digest:
            return f"record {last} of partition {place.partition} is another one"
    return ""


def open_store(path: str | os.PathLike[str], *, keep: bool = False) -> Store:
    """The store at a path; one that is damaged, or of another version, is told in one line and begins empty.

    `keep`: nothing else holds all that it held, so the file is set aside, not removed.
    """
    try:
        store = Store(path)
        try:
            store.check()
        except BaseException:
            store.close()
            raise
    except DamagedStore as error:
        store_anew(path, str(error), keep=keep)
        store = Store(path)
    return store


def store_anew(path: str | os.PathLike[str], why: str, *, keep: bool) -> None:
    """Remove a store, or set it aside, with one line that says why."""
    base = os.fspath(path)
    more = f"; what the topic no longer holds is only in {base}{SET_ASIDE}" if keep else ""
    logger.warning("%s; the rows are read from the topic again%s", why, more)
    for suffix in ("", "-wal", "-shm"):
        if keep and Path(base + suffix).exists():
            os.replace(base + suffix, base + SET_ASIDE + suffix)
        else:
            Path(base + suffix).unlink(missing_ok=True)
