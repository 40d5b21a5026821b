"""Reading topics to their end, past records that others have written into them.

Anybody can write into a topic, usually by accident. A record that no version of this program can have written must not
stop a reader: it is counted, logged once, and skipped.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Final, TypeVar

from streams.activity import Foreign
from streams.errors import BrokerAway

_LOG: Final = logging.getLogger("streams.kafka.consume")
_WAIT_MS: Final = 200
# If a broker answers but gives no record for so many seconds, although it has some, it never will.
STUCK: Final = 60.0
_SHOWN: Final = 100

T = TypeVar("T")


class Guard:
    """Skips the foreign records of a topic; `passed` counts them. The first one is logged, unless `quiet`.

    >>> def decode(text):
    ...     raise Foreign("no number")
    >>> guard = Guard("numbers", quiet=True)
    >>> guard.read(decode, "x"), guard.read(len, "x"), guard.passed
    (None, 1, 1)
    """

    def __init__(self, topic: str, *, quiet: bool = False) -> None:
        self.topic = topic
        self.passed = 0
        self._quiet = quiet

    def read(self, decode: Callable[..., T], *arguments: Any) -> T | None:
        """The result of `decode` for a record; None if that raises Foreign."""
        try:
            return decode(*arguments)
        except Foreign as error:
            self.pass_over(error)
            return None

    def pass_over(self, why: object) -> None:
        """Count a foreign record."""
        self.passed += 1
        if self.passed == 1 and not self._quiet:
            told = str(why).replace("\n", " ")[:_SHOWN]
            _LOG.warning(
                "a foreign record of the topic %s is skipped, and so are further ones (%s)",
                self.topic,
                ascii(told)[1:-1],
            )


async def read_to_end(consumer: Any, places: Collection[Any]) -> AsyncIterator[tuple[Any, list[Any]]]:
    """(partition, records) of what the assigned partitions hold now, from the consumer's positions to their ends. A
    consumer of committed records reads to the committed end.
    """
    async for left in unread(consumer, places):
        for place, records in (await consumer.getmany(*left, timeout_ms=_WAIT_MS)).items():
            yield place, records


async def unread(consumer: Any, places: Collection[Any]) -> AsyncIterator[list[Any]]:
    """The assigned partitions that are not read to their present end, again and again until there are none.

    Raises BrokerAway if a broker that answers gives no record for so long that none will come: its log is damaged.
    """
    ends = await consumer.end_offsets(places)
    before: dict[Any, int] = {}
    moved = time.monotonic()
    while True:
        positions = {place: await consumer.position(place) for place in places}
        left = [place for place in places if positions[place] < ends[place]]
        if not left:
            return
        if positions != before:
            before, moved = positions, time.monotonic()
        elif time.monotonic() - moved > STUCK:
            first = left[0]
            where = f"{first.topic}, partition {first.partition}, from offset {positions[first]} on"
            raise BrokerAway(
                f"the broker returns no records of {where}: its log may be damaged; "
                "see the broker's log, or restore a backup"
            )
        yield left


class Table:
    """The last value of each key of a compacted topic; tombstoned keys are left out.

    A record for which `sound(key, value)` raises Foreign is skipped: the key keeps its previous value.
    """

    def __init__(self, guard: Guard, sound: Callable[[bytes, bytes | None], object] = lambda key, value: None) -> None:
        self.values: dict[bytes, bytes] = {}
        self._guard = guard
        self._sound = sound

    def put(self, key: bytes | None, value: bytes | None) -> None:
        """Take a record."""
        try:
            if key is None:
                raise Foreign("a record without a key")
            self._sound(key, value)
        except Foreign as error:
            self._guard.pass_over(error)
            return
        if value is None:
            self.values.pop(key, None)
        else:
            self.values[key] = value


async def stop(consumer: Any) -> None:
    """Stop an aiokafka consumer, whether or not its broker answers.

    While the broker is away, aiokafka (0.14) cancels a waiting fetch of its own and lets that come out of `stop`.
    Nobody has cancelled us, but the caller would end silently, and the connections would stay open.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        await consumer._client.close()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
