"""Reading what brokers store: records that aiokafka cannot read are foreign records and do not stop readers.

A broker may store a batch with a valid checksum and invalid records: Apache Kafka (4.3) accepts header names that are
not UTF-8, bytes after the end of the compressed data, and wrong offsets of records. aiokafka (0.14) raises at such a
batch, and again at each attempt, so a reader would never get past it. A batch with a wrong checksum is damaged and
still raises.
"""

import logging
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import PartitionRecords

_LOG: Final = logging.getLogger("streams.kafka.consume")
_SHOWN: Final = 100
# The most foreign records of one batch, whatever its header says.
_MOST: Final = 100_000


class _Unreadable(NamedTuple):
    """Replaces a record that cannot be read: no reader takes it for its own."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None = None
    value: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()
    checksum: None = None


class _Batch:
    """A batch of aiokafka whose records can be read to the end, whatever they are."""

    def __init__(self, batch: Any, place: Any, told: set[Any]) -> None:
        self._batch, self._place, self._told = batch, place, told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        before, last = self._batch.base_offset - 1, self._batch.next_offset - 1
        try:
            for record in self._batch:
                if not before < record.offset <= last:
                    raise ValueError(f"offset {record.offset} after offset {before}, in a batch that ends at {last}")
                before = record.offset
                yield record
        except Exception as error:  # noqa: BLE001 - whatever a parser or a codec says about bytes from outside
            self._tell(error)
            # One for each, because a reader that counts offsets would wait for missing ones.
            for offset in range(max(before + 1, last + 1 - _MOST), last + 1):
                yield _Unreadable(offset, self._batch.max_timestamp, self._batch.timestamp_type)

    def _tell(self, error: Exception) -> None:
        if self._place in self._told:
            return
        self._told.add(self._place)
        topic, partition = self._place
        why = ascii(str(error).replace("\n", " ")[:_SHOWN])[1:-1]
        _LOG.warning(
            "unreadable records of the topic %s, partition %d, from offset %d on are skipped, and so are others (%s)",
            topic,
            partition,
            self._batch.base_offset,
            why,
        )


class _Batches:
    """The result of a fetch, batch by batch."""

    _told: Final[set[Any]] = set()

    def __init__(self, batches: Any, place: Any) -> None:
        self._batches, self._place = batches, place

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def next_batch(self) -> _Batch:
        return _Batch(self._batches.next_batch(), self._place, self._told)


class _Records(PartitionRecords):  # type: ignore[misc]
    def __init__(self, tp: Any, records: Any, *rest: Any, **named: Any) -> None:
        super().__init__(tp, _Batches(records, tp), *rest, **named)


def pass_over_unreadable() -> None:
    """From now on each aiokafka consumer of this process, Faust's too, skips batches that cannot be read."""
    fetcher.PartitionRecords = _Records


def consumer(**settings: Any) -> AIOKafkaConsumer:
    """A consumer that no batch can stop; settings are aiokafka's."""
    pass_over_unreadable()
    return AIOKafkaConsumer(**settings)


def forget() -> None:
    """Log positions again that were logged before."""
    _Batches._told.clear()
