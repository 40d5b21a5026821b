"""The outlet on a real log: what is published before a cursor is saved, watermarks, coverage, and what a restart
finds.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.activity import HOUR, MINUTE, Activity, Batch, Cover, decode_batch, partition_of
from streams.kafka import admin
from streams.kafka.dead_letters import misread
from streams.kafka.deliver import Delivery, read_table
from streams.kafka.topics import Topics
from streams.live.common.clock import Clock
from streams.live.common.coverage import COVERAGE_CURSOR
from streams.live.common.health import Feeds, Row
from streams.live.common.http import WorldSign
from streams.live.common.outlet import KafkaOutlet
from streams.live.common.poll_result import Gap, PollResult
from tests.chaos.conftest import Embedded
from tests.chaos.reading import read_topic
from tests.count.making import NOW, activity

TOPICS = Topics(prefix="outlet-", partitions=4)
LETTER = misread("github", "page 1", 7, "unknown-type", b"{}")
ORG = "github:/orgs/allenai/events"
CLOCK = Clock(scale=50, wall=lambda: NOW / 1e6)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Embedded]:
    embedded = Embedded(tmp_path)
    admin.create(embedded.bootstrap, TOPICS)
    yield embedded
    embedded.stop()


def report(now: int, rows: list[Row], states: dict[str, str]) -> tuple[bytes, bytes]:
    return b"health/streams", msgspec.json.encode([now, rows, states])


@asynccontextmanager
async def outlet(
    broker: Embedded, feeds: Feeds, kind: type[Delivery] = Delivery, settling: float = 0.0
) -> AsyncIterator[KafkaOutlet]:
    cursors = {
        key.decode(): value for key, value in (await read_table(broker.bootstrap, TOPICS, TOPICS.cursors)).items()
    }
    async with kind.open(broker.bootstrap, TOPICS, "test") as delivery:
        made = KafkaOutlet(delivery, TOPICS, CLOCK, feeds, cursors, report, settling)
        running = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            running.cancel()
            (ended,) = await asyncio.gather(running, return_exceptions=True)
            if not isinstance(ended, asyncio.CancelledError):
                raise ended


def test_what_comes_from_a_simulated_world_is_marked_from_then_on(broker: Embedded) -> None:
    async def scenario() -> None:
        world = WorldSign()
        async with Delivery.open(broker.bootstrap, TOPICS, "test") as delivery:
            made = KafkaOutlet(delivery, TOPICS, CLOCK, Feeds(), {}, report, world=world)
            running = asyncio.create_task(made.run())
            for number, simulated in enumerate((False, True)):
                world.simulated = simulated
                await made.put(
                    PollResult(feed=ORG, platform="github", cursor=b"{}", activities=[activity(number, NOW)])
                )
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())
    assert sorted(each.simulated for _, batch in batches(broker) for each in batch.activities) == [False, True]


def batches(broker: Embedded) -> list[tuple[int, Batch]]:
    return [
        (n, decode_batch(value))
        for n, _, value in read_topic(broker.bootstrap, TOPICS.activity, TOPICS.partitions)
        if value
    ]


def activities(broker: Embedded) -> list[tuple[int, Activity]]:
    return [(number, each) for number, batch in batches(broker) for each in batch.activities]


def test_what_was_put_stands_on_the_broker_with_its_cursor(broker: Embedded) -> None:
    made = [activity(n, NOW, repo_id=n << 32) for n in range(1200)]
    gap = Gap(feed=ORG, start=NOW - MINUTE, end=NOW, reason="overflow")

    async def put() -> None:
        async with outlet(broker, Feeds()) as out:
            results = [
                PollResult(
                    feed=ORG, platform="github", cursor=b"1", activities=made[:700], dead_letters=[LETTER], gaps=[gap]
                ),
                PollResult(
                    feed="github:/events",
                    platform="github",
                    cursor=b"2",
                    cursors={"of:one": b"3"},
                    activities=made[700:],
                ),
            ]
            await asyncio.gather(*(out.put(result) for result in results))

    asyncio.run(put())
    found = activities(broker)
    assert sorted(each.id for _, each in found) == sorted(each.id for each in made)
    assert all(number == partition_of(each.repo_id, TOPICS.partitions) for number, each in found)
    assert max(len(batch.activities) for _, batch in batches(broker)) <= 500
    cursors = asyncio.run(read_table(broker.bootstrap, TOPICS, TOPICS.cursors))
    assert (cursors[ORG.encode()], cursors[b"github:/events"], cursors[b"of:one"]) == (b"1", b"2", b"3")
    assert [value for _, _, value in read_topic(broker.bootstrap, TOPICS.dead_letters, 1)] == [LETTER]
    assert [
        msgspec.json.decode(value or b"", type=Gap) for _, _, value in read_topic(broker.bootstrap, TOPICS.gaps, 1)
    ] == [gap]


class _Cut(Delivery):
    """The broker takes what is sent, and the process ends before it knows."""

    def __init__(self, producer: Any, topics: Topics) -> None:
        super().__init__(producer, topics)
        self.cut = asyncio.Event()

    async def acknowledged(self, sent: list[Any]) -> list[Any]:
        found = await super().acknowledged(sent)
        if not sent:
            return found
        self.cut.set()
        raise ConnectionAbortedError


def test_a_cursor_is_never_saved_before_what_it_speaks_of(broker: Embedded) -> None:
    async def put() -> None:
        async with outlet(broker, Feeds(), _Cut) as out:
            putting = asyncio.create_task(
                out.put(PollResult(feed=ORG, platform="github", cursor=b"1", activities=[activity(1, NOW)]))
            )
            assert isinstance(out._delivery, _Cut)
            await asyncio.wait_for(out._delivery.cut.wait(), 20)
            putting.cancel()

    with pytest.raises(ConnectionAbortedError):
        asyncio.run(put())
    assert len(activities(broker)) == 1
    assert asyncio.run(read_table(broker.bootstrap, TOPICS, TOPICS.cursors)) == {}


def test_a_platform_is_as_far_as_the_feed_that_is_furthest_behind(broker: Embedded) -> None:
    feeds = Feeds()
    for feed in ("github:/events", ORG):
        feeds.open(feed, "github")

    async def put() -> None:
        async with outlet(broker, feeds) as out:
            await out.put(PollResult(feed="github:/events", platform="github", cursor=b"1", complete_to=NOW))
            await asyncio.sleep(0.5)
            assert not batches(broker), "one feed has not said yet how far it is"
            await out.put(PollResult(feed=ORG, platform="github", cursor=b"2", complete_to=NOW - HOUR))
            await out.put(PollResult(feed="github:/events", platform="github", cursor=b"3", complete_to=NOW + HOUR))
            async with asyncio.timeout(20):
                while len(await asyncio.to_thread(batches, broker)) < TOPICS.partitions:
                    await asyncio.sleep(0.05)

    asyncio.run(put())
    assert {(number, batch.feed, batch.complete_to) for number, batch in batches(broker)} == {
        (number, "github", NOW - HOUR) for number in range(TOPICS.partitions)
    }


def test_coverage_goes_on_over_a_restart(broker: Embedded) -> None:
    async def put(start: int, end: int) -> float | None:
        feeds = Feeds()
        feeds.open(ORG, "github")
        async with outlet(broker, feeds) as out:
            covered = [Cover("github", start, end)]
            await out.put(PollResult(feed=ORG, platform="github", cursor=b"1", covered=covered, complete_to=end))
            await out.flush()
            return out.coverage.share("github", "watched", "1h", NOW - 1)

    assert asyncio.run(put(NOW - HOUR, NOW - 45 * MINUTE)) == pytest.approx(0.25)
    assert asyncio.run(put(NOW - 45 * MINUTE, NOW - 30 * MINUTE)) == pytest.approx(0.5)
    assert (COVERAGE_CURSOR + ORG).encode() in asyncio.run(read_table(broker.bootstrap, TOPICS, TOPICS.cursors))


def test_coverage_is_saved_for_each_feed_that_has_changed_and_forgotten_with_it(broker: Embedded) -> None:
    other = "github:/orgs/other/events"
    keys = {feed: (COVERAGE_CURSOR + feed).encode() for feed in (ORG, other)}

    async def put() -> None:
        feeds = Feeds()
        for feed in keys:
            feeds.open(feed, "github")
        async with outlet(broker, feeds) as out:
            for turn in range(20):
                for feed in keys if turn == 0 else [ORG]:
                    covered = [Cover("github", NOW + turn * MINUTE, NOW + (turn + 1) * MINUTE)]
                    await out.put(PollResult(feed=feed, platform="github", cursor=b"1", covered=covered))
                await out.flush()
            del feeds.by_name[other]
            await out.flush()

    asyncio.run(put())
    written = [
        (key, value) for _, key, value in read_topic(broker.bootstrap, TOPICS.cursors, 1) if key in keys.values()
    ]
    assert len([value for key, value in written if key == keys[ORG]]) <= 40
    assert len([value for key, value in written if key == keys[other]]) <= 4
    assert asyncio.run(read_table(broker.bootstrap, TOPICS, TOPICS.cursors)).keys() >= {keys[ORG]}
    assert keys[other] not in asyncio.run(read_table(broker.bootstrap, TOPICS, TOPICS.cursors))


def test_a_feed_that_has_only_ever_had_gaps_counts(broker: Embedded) -> None:
    """Nine work, one has failed since the first start; a user's counts neither way."""
    well, failing, user = (
        [f"github:/orgs/{n}/events" for n in range(9)],
        "github:/orgs/no/events",
        "github:/users/one/events/public",
    )
    feeds = Feeds()
    for feed in (*well, failing, user):
        feeds.open(feed, "github", has_total=feed != user)

    async def put() -> float | None:
        async with outlet(broker, feeds) as out:
            covered = [Cover("github", NOW - 2 * HOUR, NOW)]
            await asyncio.gather(
                *(out.put(PollResult(feed=feed, platform="github", cursor=b"1", covered=covered)) for feed in well)
            )
            for feed in (failing, user):
                gap = Gap(feed=feed, start=NOW - HOUR, end=NOW, reason="failed")
                await out.put(PollResult(feed=feed, platform="github", cursor=b"1", gaps=[gap], complete_to=NOW))
            return out.coverage.share("github", "watched", "1h", NOW - 1)

    assert asyncio.run(put()) == pytest.approx(0.9)


@pytest.mark.parametrize(("whole", "share"), [(True, 0.0), (False, None)])
def test_a_row_of_the_ledger_is_known_although_the_feed_may_be_silent_for_long(
    broker: Embedded, whole: bool, share: float | None
) -> None:
    """But not that of one of many repositories, which says nothing of the others."""
    feeds = Feeds()
    late_after = {ORG: 2 * HOUR}
    feeds.open(ORG, "github")

    async def put() -> float | None:
        async with outlet(broker, feeds, settling=5 * 60.0) as out:
            await out.put(
                PollResult(
                    feed=ORG, platform="github", cursor=b"1", covered=[Cover("github", NOW - 4 * HOUR, NOW - 2 * HOUR)]
                )
            )
            assert out.coverage.share("github", "watched", "1h", NOW, late_after) is None
            gap = Gap(feed=ORG, start=NOW - 2 * HOUR, end=NOW, reason="failed")
            await out.put(
                PollResult(feed=ORG, platform="github", cursor=b"2", gaps=[gap], complete_to=NOW if whole else None)
            )
            return out.coverage.share("github", "watched", "1h", NOW, late_after)

    assert asyncio.run(put()) == share


def test_what_does_not_reach_all_that_it_looks_at_covers_its_share(broker: Embedded) -> None:
    feeds = Feeds()
    feeds.open("huggingface:repositories", "huggingface")

    async def put() -> float | None:
        async with outlet(broker, feeds) as out:
            covered = [Cover("huggingface", NOW - 2 * HOUR, NOW)]
            await out.put(
                PollResult(
                    feed="huggingface:repositories", platform="huggingface", cursor=b"1", covered=covered, share=0.25
                )
            )
            return out.coverage.share("huggingface", "watched", "1h", NOW - 1)

    assert asyncio.run(put()) == pytest.approx(0.25)


def test_a_feed_that_is_not_late_yet_is_not_shown_as_blind(broker: Embedded) -> None:
    feeds = Feeds()
    feeds.open(ORG, "github").late_after = 45 * MINUTE

    async def run() -> list[Any]:
        async with outlet(broker, feeds, settling=5 * 60.0) as out:
            now = CLOCK.now()
            await out.put(
                PollResult(
                    feed=ORG, platform="github", cursor=b"1", covered=[Cover("github", now - 2 * HOUR, now - HOUR // 2)]
                )
            )
            await out.report()
            async with asyncio.timeout(20):
                while not (
                    shown := await asyncio.to_thread(lambda: list(read_topic(broker.bootstrap, TOPICS.measurements, 1)))
                ):
                    await asyncio.sleep(0.1)
            return msgspec.json.decode(shown[-1][2] or b"")[1]  # type: ignore[no-any-return]

    labels = {"scope": "watched", "platform": "github", "window": "1h"}
    assert ["nomadwatch_window_coverage_ratio", labels, 1.0] in asyncio.run(run())


def test_the_outage_of_a_sampled_feed_is_not_covered(broker: Embedded) -> None:
    """It sees a tenth; for half of the hour it sees nothing."""
    feed, feeds = "github:/events", Feeds()
    feeds.open(feed, "github", scope="all", sampled=True).coverage = 0.1
    gap = Gap(feed=feed, start=NOW - 45 * MINUTE, end=NOW - 15 * MINUTE, reason="failed")

    async def put() -> float | None:
        async with outlet(broker, feeds) as out:
            await out.put(PollResult(feed=feed, platform="github", cursor=b"1", complete_to=NOW - HOUR))
            await out.put(PollResult(feed=feed, platform="github", cursor=b"2", complete_to=NOW - 50 * MINUTE))
            # It did not get on for long, and its mark went on without it.
            await out.put(
                PollResult(feed=feed, platform="github", cursor=b"3", gaps=[gap], complete_to=NOW - 15 * MINUTE)
            )
            await out.put(PollResult(feed=feed, platform="github", cursor=b"4", complete_to=NOW))
            return out.coverage.share("github", "all", "1h", NOW - 1)

    assert asyncio.run(put()) == pytest.approx(0.05)


def test_health_is_shown_whether_anything_happens_or_not(broker: Embedded) -> None:
    feeds = Feeds()
    feeds.open(ORG, "github").polls["failed"] = 3

    async def run() -> bytes | None:
        async with outlet(broker, feeds) as out:
            await out.put(PollResult(feed=ORG, platform="github", cursor=b"1", dead_letters=[LETTER, LETTER]))
            await out.report()
            async with asyncio.timeout(20):
                while not (
                    shown := await asyncio.to_thread(lambda: list(read_topic(broker.bootstrap, TOPICS.measurements, 1)))
                ):
                    await asyncio.sleep(0.1)
            return shown[-1][2]

    _, rows, states = msgspec.json.decode(asyncio.run(run()) or b"")
    assert ["nomadwatch_feed_polls_total", {"feed": ORG, "outcome": "failed"}, 3] in rows
    assert ["nomadwatch_dead_letters_total", {"reason": "unknown-type"}, 2] in rows
    assert states == {ORG: "starting"}
