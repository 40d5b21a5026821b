"""Reading topics: to their end, and past what others have written into them.

Anybody can write into a topic, by accident most of all. A record that none of us can have written must end nobody who
reads: it is counted, told once, and passed over.
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
# Seconds without any record after which a broker that is there, and has some, will not give them.
STUCK: Final = 60.0
_SHOWN: Final = 100

T = TypeVar("T")


class Guard:
    """Passes over the foreign records of a topic; `passed` counts them. The first one is told, unless `quiet`.

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
        """What `decode` makes of a record; None if that raises Foreign."""
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
                "a record of the topic %s is not ours and is passed over, as all such are (%s)",
                self.topic,
                ascii(told)[1:-1],
            )


async def read_to_end(consumer: Any, places: Collection[Any]) -> AsyncIterator[tuple[Any, list[Any]]]:
    """(partition, records) of what the assigned partitions hold now, from where each stands up to its end: of a
    consumer of committed records the committed end.
    """
    async for left in unread(consumer, places):
        for place, records in (await consumer.getmany(*left, timeout_ms=_WAIT_MS)).items():
            yield place, records


async def unread(consumer: Any, places: Collection[Any]) -> AsyncIterator[list[Any]]:
    """Those of the assigned partitions that are not read up to what is their end now, again and again until there are
    none.

    Raises BrokerAway where a broker that is there gives no record for so long that none will come: its log is damaged.
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
            place = left[0]
            where = f"{place.topic}, partition {place.partition}, from offset {positions[place]} on"
            raise BrokerAway(
                f"the broker gives nothing of {where}: its log may be damaged; look at what it says, or bring back a copy"
            )
        yield left


class Table:
    """The last value of each key of a compacted topic; tombstoned keys are left out.

    A record that `sound(key, value)` refuses by raising Foreign is passed over: what stood under its key before is
    believed on.
    """

    def __init__(self, guard: Guard, sound: Callable[[bytes, bytes | None], object] = lambda key, value: None) -> None:
        self.values: dict[bytes, bytes] = {}
        self._guard = guard
        self._sound = sound

    def put(self, key: bytes | None, value: bytes | None) -> None:
        """Take in a record."""
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
    """Stop an aiokafka consumer, whether its broker is there or not.

    While the broker is away aiokafka cancels a fetch of its own that waits, and lets that come out of `stop` (0.14):
    nobody has cancelled us, but whoever is above would end without a word, and the connections stay open.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        await consumer._client.close()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
