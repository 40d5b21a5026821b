"""A station looks at the simulated platforms while everything that can die dies; then what it counted is compared with the truth.

    python -m tests.live.day [--rate N] [--scale N] [--hours N] [--rest N] [--calm]

prints one row: what was shown, published, counted; how soon; how good the estimate of the coverage is.
"""

import argparse
import json
import os
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import confluent_kafka
import msgspec
import numpy as np

from agents.measurements import EVALUATION, Evaluation, decode_evaluation
from simulator.servers.hub_truth import Happened
from streams.activity import SECOND, Activity, decode_batch
from streams.feeds.find import Gap
from streams.topics import Topics
from tests.chaos.test_exactness import end_offsets
from tests.live.world import FAULTS, FEEDS, WATCHLIST, World
from tests.nomadwatch.stations import Station

ROLES = ("polling", "aggregate", "measure", "broker")
PATIENCE = 240.0
# How far beside a row of the ledger something may lie that it explains: rows are in the events' own times, which answers lag behind (µs).
_BESIDE = 900 * SECOND
# What happened on the Hub just before the end may stand in no answer yet (µs).
_EDGE = 300 * SECOND
# A repository of the Hub that is deleted takes along what was done there: who looks, but dies now and then, sees only what stood so long.
_LOOK = 3600 * SECOND
TOPICS = Topics()


@dataclass
class Day:
    """What came of it. Ids are GitHub's own unless they are activities'."""

    hours: float
    expected: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    published: list[Activity] = field(default_factory=list)
    evaluation: Evaluation | None = None
    offences: list[object] = field(default_factory=list)
    kills: int = 0
    delays: list[float] = field(default_factory=list)
    coverage: tuple[float, float] | None = None
    hub_expected: set[str] = field(default_factory=set)
    hub_missing: list[Happened] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    logins_found: list[str] = field(default_factory=list)

    @property
    def github(self) -> set[str]:
        """Ids of the events that were published."""
        return {each.id.split(":")[2] for each in self.published if each.platform == "github" and not each.id.endswith(":accepted")}

    @property
    def ids(self) -> set[str]:
        """Ids of the activities that were published."""
        return {each.id for each in self.published}


def watch(folder: Path, *, rate: float, scale: float, hours: float, seed: int = 5, rest: float = 3.0, calm: bool = False) -> Day:
    """Let a station look for so many simulated hours; unless `calm`, with faults and somebody killed every `rest` seconds of the wall's."""
    day, random = Day(hours), Random(seed)
    watchlist = folder / "watchlist.yaml"
    watchlist.write_text(WATCHLIST)
    with World(seed, scale, rate) as world:
        environment = {**world.environment, "NOMADWATCH_WATCHLIST": str(watchlist)}
        station = Station("up", "--port", "0", "--data-dir", str(folder / "state"), environment=environment)
        try:
            _await_marks(station)
            since = world.clock.now()
            if not calm:
                world.faults.set(**FAULTS)
            until = time.monotonic() + hours * 3600 / scale
            said: list[tuple[int, float]] = []
            while time.monotonic() < until:
                time.sleep(min(rest * random.uniform(1 / 3, 5 / 3), max(0.0, until - time.monotonic())))
                if (now := _said(world, station)) is not None:
                    said.append(now)
                if calm:
                    continue
                day.kills += 1
                if day.kills % 6 == 0:
                    station.kill()
                    station = Station("up", "--port", "0", "--data-dir", str(folder / "state"), environment=environment)
                elif (pid := station.roles().get(random.choice(ROLES))) is not None:
                    os.kill(pid, signal.SIGKILL)
            world.faults.clear()
            ended = world.clock.now()
            _await_mark(station, folder, ended)
            day.coverage = _coverage(world, said, since)
            # From here on nothing new is shown, so that what was shown can be compared with what was counted.
            world.faults.set(error=1.0)
            _read(day, folder)
            day.expected = set().union(*(world.ask(lambda feed=feed: world.github.unmissable(feed, since, ended)) for feed in FEEDS))  # type: ignore[misc]
            day.shown = set().union(*(_shown(world, feed) for feed in (*FEEDS, "/events")))
            deeds = world.ask(lambda: world.hub.unmissable(since, ended, _LOOK))
            told = [deed for deed in deeds if deed.project and deed.visible_at < ended - _EDGE]
            day.hub_expected = {deed.id for deed in told}
            published = day.ids
            day.hub_missing = [deed for deed in told if deed.id not in published]
            day.unexplained = _unexplained(day, world)
            _time(day, world, since, ended)
            day.offences = [*world.github.offences, *world.hub.offences]
            assert station.end() == 0, station.err
            # Who owns a repository stands in its public name.
            owners = {each.owner for each in day.published}
            logins = (world.ask(world.github.logins) | world.ask(world.hub.logins)) - owners
            day.logins_found = sorted(_found(folder / "state", logins) | _words((station.out + station.err).encode(), logins))
        finally:
            station.kill()
    return day


def _shown(world: World, feed: str) -> set[str]:
    return set(world.ask(lambda: world.github.shown(feed)))


def _await_marks(station: Station) -> None:
    """Until every feed was looked at once."""
    for platform in ("github", "huggingface"):
        station.await_metric(rf'^nomadwatch_window_coverage_ratio{{platform="{platform}",scope="watched",window="1h"}}')
    station.await_metric(r"^nomadwatch_watermark_timestamp_seconds")


def _await_mark(station: Station, folder: Path, ended: int) -> None:
    """Until everything before a moment of the station's time is counted."""
    deadline = time.monotonic() + PATIENCE
    while (evaluation := _evaluation(folder)) is None or evaluation.watermark is None or evaluation.watermark < ended:
        assert time.monotonic() < deadline, (evaluation, ended, station.ask("/healthz"))
        assert station.process.poll() is None, "the station has ended"
        time.sleep(0.5)


def _bootstrap(folder: Path) -> str:
    return f"127.0.0.1:{json.loads((folder / 'state' / 'state.json').read_text())['port']}"


def _evaluation(folder: Path) -> Evaluation | None:
    latest = None
    for key, value in _records(folder, TOPICS.measurements):
        if key == EVALUATION and value is not None:
            latest = decode_evaluation(value)
    return latest


def _records(folder: Path, topic: str) -> Iterator[tuple[bytes | None, bytes | None]]:
    """(key, value) of all committed records that a topic holds now; by librdkafka, which reads a hundred megabytes in a second."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": _bootstrap(folder), "group.id": "day", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
    )
    places = [confluent_kafka.TopicPartition(topic, number, 0) for number in range(TOPICS.partitions_of(topic))]
    ends = {place.partition: consumer.get_watermark_offsets(place, timeout=30)[1] for place in places}
    consumer.assign([place for place in places if ends[place.partition]])
    try:
        while any(place.offset < ends[place.partition] for place in consumer.position(places) if ends[place.partition]):
            for message in consumer.consume(10_000, timeout=0.5):
                if message.error() is None:
                    yield message.key(), message.value()
    finally:
        consumer.close()


def _read(day: Day, folder: Path) -> None:
    """Everything that stands in the topics, once all of it is counted."""
    bootstrap = _bootstrap(folder)
    deadline = time.monotonic() + PATIENCE
    known = -1
    while len(day.published) != known:
        known = len(day.published)
        ends = end_offsets(bootstrap, TOPICS)
        while not (day.evaluation and all(day.evaluation.offsets.get(n, 0) >= end for n, end in ends.items())):
            assert time.monotonic() < deadline, (day.evaluation, ends)
            time.sleep(0.5)
            day.evaluation = _evaluation(folder)
        time.sleep(1)
        records = [value for _, value in _records(folder, TOPICS.activity) if value]
        day.published = [activity for value in records for activity in decode_batch(value).activities]
    day.gaps = [msgspec.json.decode(value, type=Gap) for _, value in _records(folder, TOPICS.gaps) if value]


def _unexplained(day: Day, world: World) -> list[str]:
    """Ids of what is missing although the ledger says of no feed that it could not see everything then."""
    watched = [gap for gap in day.gaps if gap.feed not in ("github:/events", "huggingface:changes")]
    github, hub = ([(gap.start, gap.end) for gap in watched if gap.feed.startswith(name)] for name in ("github:", "huggingface:"))
    events = {event.id: event for event in world.ask(lambda: list(world.github.events))} if day.expected - day.github else {}
    missing = [(id_, events[id_].visible_at, github) for id_ in day.expected - day.github]
    missing += [(deed.id, deed.visible_at, hub) for deed in day.hub_missing]
    return [id_ for id_, time, gaps in missing if not any(start - _BESIDE <= time <= end + _BESIDE for start, end in gaps)]


def _time(day: Day, world: World, since: int, ended: int) -> None:
    """How long after they were visible the watched events were received, in simulated seconds."""
    visible = {event.id: event.visible_at for event in world.ask(lambda: list(world.github.events)) if since <= event.visible_at < ended}
    received: dict[str, int] = {}
    for each in day.published:
        if each.platform == "github" and each.project is not None:
            event = each.id.split(":")[2]
            received[event] = min(each.ingested_at, received.get(event, each.ingested_at))
    day.delays = [(received[event] - visible[event]) / SECOND for event in day.expected & visible.keys() & received.keys()]


def _said(world: World, station: Station) -> tuple[int, float] | None:
    """Of `/events`: (when it was asked, the coverage that the station says). None while it says none."""
    now = world.clock.now()
    try:
        share = station.metric(r'^nomadwatch_feed_coverage_ratio{feed="github:/events"} (\S+)')
    except OSError:
        return None
    return None if share is None else (now, share)


def _coverage(world: World, said: list[tuple[int, float]], begun: int) -> tuple[float, float] | None:
    """Of `/events`, over all moments at which it was said: (the mean of what was said, of what is true of the same hours)."""
    shown = _shown(world, "/events")
    events = [event for event in world.ask(lambda: list(world.github.events)) if event.listed]
    times = np.array([event.visible_at for event in events])
    seen = np.cumsum([0, *(event.id in shown for event in events)])
    pairs = []
    for now, share in said:
        # What is said is of the last poll, and up to a second of the wall's older than that.
        end = now - round(world.scale * SECOND) - 30 * SECOND
        first, last = np.searchsorted(times, (max(begun, end - 3600 * SECOND), end))
        if end - begun > 900 * SECOND and last > first:
            pairs.append((share, float(seen[last] - seen[first]) / float(last - first)))
    return tuple(np.mean(pairs, axis=0).tolist()) if pairs else None


def _found(folder: Path, logins: set[str]) -> set[str]:
    """Logins that stand in any file under a folder."""
    return set().union(*(_words(path.read_bytes(), logins) for path in folder.rglob("*") if path.is_file()))


def _words(content: bytes, logins: set[str]) -> set[str]:
    """Those logins that stand in a text as words of their own."""
    words = {word.decode() for word in re.findall(rb"[A-Za-z0-9_-]+", content)}
    return words & logins


def main() -> None:
    """Watch a day and print its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=1.0, help="events of GitHub a simulated second")
    parser.add_argument("--scale", type=float, default=480.0)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--rest", type=float, default=3.0, help="seconds of the wall's clock between two deaths (default: 3)")
    parser.add_argument("--calm", action="store_true", help="no faults, nobody dies")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        day = watch(Path(name), rate=options.rate, scale=options.scale, hours=options.hours, rest=options.rest, calm=options.calm)
    assert day.evaluation is not None
    soon = 100 * float(np.mean(np.array(day.delays) <= 600)) if day.delays else float("nan")
    said, true = day.coverage or (float("nan"), float("nan"))
    print(
        f"{options.rate:g}/s, {options.hours:g} h at {options.scale:g} x, {day.kills} kills: "
        f"watched events {len(day.expected):,}, missing {len(day.expected - day.github)}, never shown {len(day.github - day.shown)}; "
        f"Hub {len(day.hub_expected):,}, missing {len(day.hub_expected - day.ids)}; of these not in the ledger {len(day.unexplained)}; "
        f"published {len(day.published):,}, different {len(day.ids):,}, counted {day.evaluation.activities:,}; "
        f"within 10 min {soon:.2f} %; coverage of /events said {100 * said:.1f} %, true {100 * true:.1f} %; "
        f"offences {len(day.offences)}; logins found {len(day.logins_found)}"
    )
    print("    gaps:", dict(Counter(f"{gap.feed} {gap.reason}" for gap in day.gaps).most_common(6)))
    for odd in (day.logins_found[:5], sorted(day.expected - day.github)[:5], day.hub_missing[:3], day.hub_missing[-1:], day.offences[:3]):
        if odd:
            print("    such as", odd)


if __name__ == "__main__":
    main()
