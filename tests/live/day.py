"""A station polls the simulated platforms while every process is killed now and then; what it counted is compared with
the truth.

    python -m tests.live.day [--rate N] [--scale N] [--hours N] [--rest N] [--calm | --no-bans]
                             [--hub-rate N] [--hub-repositories N]

prints one row: what was shown, published and counted; how soon; how good the estimate of the coverage is; whether a
client broke a rule. Then a table of delays: from being visible to being received and counted, for GitHub and for
each kind of thing on the Hub.
"""

import argparse
import os
import re
import signal
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import confluent_kafka
import msgspec
import numpy as np

from agents.measurements import Evaluation
from simulator.servers.hub_truth import Happened
from simulator.servers.ledger import Offence
from streams.activity import SECOND, Activity, decode_batch
from streams.live.common.poll_result import Gap
from tests.chaos.reading import end_offsets
from tests.live.delays import GITHUB, Delays, of_github, of_the_hub, table
from tests.live.records import TOPICS, Counted, bootstrap_of, records
from tests.live.world import DIALECTS, FAULTS, FEEDS, World, until_both_grow
from tests.nomadwatch.stations import Station

ROLES = ("polling", "count", "measure", "broker")
PATIENCE = 240.0
# Before each so many deaths both platforms ban everybody for a while (simulated), and the pollers or the station die.
BANS_EACH = 4
BAN = 600.0
# By then the pollers ask again after a death, however busy the machine is (seconds of real time).
AWAKE = 20.0
# How far from a gap something may lie that the gap explains: gaps are in event time, which answers lag behind (µs).
_BESIDE = 900 * SECOND
# What happened on the Hub just before the end may not be in any answer yet (µs).
_EDGE = 300 * SECOND
# A deleted repository of the Hub takes along what was done there: a poller that dies now and then sees only what was
# there for so long.
_LOOK = 3600 * SECOND


@dataclass
class Day:
    """The result of a day. Ids are GitHub's own, or those of activities where it says so.

    `delays` are those of the watched things, by group. `counted_at`: when an activity was first counted (µs of real
    time). `refused`: how often GitHub and the Hub refused to answer, in `bans` bans.
    """

    hours: float
    expected: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    published: list[Activity] = field(default_factory=list)
    evaluation: Evaluation | None = None
    offences: list[Offence] = field(default_factory=list)
    kills: int = 0
    bans: int = 0
    refused: tuple[int, int] = (0, 0)
    delays: dict[str, Delays] = field(default_factory=dict)
    counted_at: dict[str, int] = field(default_factory=dict)
    coverage: tuple[float, float] | None = None
    hub_expected: set[str] = field(default_factory=set)
    hub_missing: list[Happened] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    logins_found: list[str] = field(default_factory=list)

    @property
    def github(self) -> set[str]:
        """Ids of the events that were published."""
        return {
            each.id.split(":")[2]
            for each in self.published
            if each.platform == "github" and not each.id.endswith(":accepted")
        }

    @property
    def ids(self) -> set[str]:
        """Ids of the activities that were published."""
        return {each.id for each in self.published}


def watch(
    folder: Path,
    *,
    rate: float,
    scale: float,
    hours: float,
    seed: int = 5,
    rest: float = 3.0,
    calm: bool = False,
    bans: bool = True,
    hub_rate: float = 0.3,
    hub_repositories: int = 0,
) -> Day:
    """Let a station poll for simulated `hours`; unless `calm`, with faults, a death every `rest` seconds of real time,
    and `bans`.

    At least `hub_repositories` are watched on the Hub.
    """
    day, random, state = Day(hours), Random(seed), folder / "state"
    watchlist = folder / "watchlist.yaml"
    with World(seed, scale, rate, hub_rate=hub_rate, hub_repositories=hub_repositories) as world:
        watchlist.write_text(world.watchlist)
        environment = {**world.environment, "NOMADWATCH_WATCHLIST": str(watchlist)}
        station = Station("up", "--port", "0", "--data-dir", str(state), environment=environment)
        counted = Counted(state)
        try:
            _await_marks(station)
            since = world.clock.now()
            if not calm:
                world.faults.set(**FAULTS)
            until = time.monotonic() + hours * 3600 / scale
            said: list[tuple[int, float]] = []
            while time.monotonic() < until:
                counted.follow(min(rest * random.uniform(1 / 3, 5 / 3), max(0.0, until - time.monotonic())))
                if (now := _said(world, station)) is not None:
                    said.append(now)
                if calm:
                    continue
                day.kills += 1
                victims: tuple[str, ...] = ROLES
                if bans and day.kills % BANS_EACH == 0:
                    banned = time.monotonic()
                    # A poller that dies before a ban is saved cannot know of it.
                    victims = ("polling",) if _ban(day, world, counted, state) else ("count", "measure")
                    until += time.monotonic() - banned
                if day.kills % 6 == 0 and "polling" in victims:
                    station.kill()
                    station = Station("up", "--port", "0", "--data-dir", str(state), environment=environment)
                elif (pid := station.roles().get(random.choice(victims))) is not None:
                    os.kill(pid, signal.SIGKILL)
            world.faults.clear()
            ended = world.clock.now()
            _await_mark(station, counted, ended)
            day.coverage = _coverage(world, said, since)
            # From here on nothing new is shown, so that what was shown can be compared with what was counted.
            world.faults.set(error=1.0)
            _read(day, state, counted)
            day.expected = set().union(
                *(world.ask(lambda feed=feed: world.github.unmissable(feed, since, ended)) for feed in FEEDS)
            )  # type: ignore[misc]
            day.shown = set().union(*(_shown(world, feed) for feed in (*FEEDS, "/events")))
            deeds = world.ask(lambda: world.hub.unmissable(since, ended, _LOOK))
            told = [deed for deed in deeds if deed.project and deed.visible_at < ended - _EDGE]
            day.hub_expected = {deed.id for deed in told}
            published = day.ids
            day.hub_missing = [deed for deed in told if deed.id not in published]
            day.unexplained = _unexplained(day, world)
            _time(day, world, told, since, ended)
            day.offences, day.refused = world.offences, world.refused
            assert station.end() == 0, station.err
            # The owner of a repository is part of its public name.
            owners = {each.owner for each in day.published}
            logins = (world.ask(world.github.logins) | world.ask(world.hub.logins)) - owners
            day.logins_found = sorted(_found(state, logins) | _words((station.out + station.err).encode(), logins))
        finally:
            station.kill()
            counted.close()
    return day


def _ban(day: Day, world: World, counted: Counted, state: Path) -> bool:
    """Let both platforms refuse all clients now. Whether both have refused, and GitHub's ban is saved, before two
    thirds of it are over.
    """
    day.bans += 1
    until_both_grow(lambda: world.asked, AWAKE)
    length = world.clock.wait(BAN)
    late = time.monotonic() + length * 2 / 3
    world.refuse_everybody(BAN, DIALECTS[day.bans % len(DIALECTS)])
    until_both_grow(lambda: world.refused, length / 2)
    while time.monotonic() < late:
        if _banned_until(state) > time.time():
            return True
        counted.follow(length / 50)
    return False


def _banned_until(state: Path) -> float:
    """The Unix time that the pollers have saved until which GitHub must not be asked; 0 if the broker does not
    answer.
    """
    with suppress(confluent_kafka.KafkaException):
        saved = [
            record.value()
            for record in records(state, TOPICS.cursors, patience=1.0)
            if record.key() == b"github:limits"
        ]
        # The last record counts: the holder of the token, until when, and more.
        return float(msgspec.msgpack.decode(saved[-1])[1]) if saved and saved[-1] else 0.0
    return 0.0


def _shown(world: World, feed: str) -> set[str]:
    return set(world.ask(lambda: world.github.shown(feed)))


def _await_marks(station: Station) -> None:
    """Wait until every feed was polled once."""
    for platform in ("github", "huggingface"):
        station.await_metric(rf'^nomadwatch_window_coverage_ratio{{platform="{platform}",scope="watched",window="1h"}}')
    station.await_metric(r"^nomadwatch_watermark_timestamp_seconds")


def _await_mark(station: Station, counted: Counted, ended: int) -> None:
    """Wait until everything before a moment of the station's time is counted."""
    deadline = time.monotonic() + PATIENCE
    while counted.latest is None or counted.latest.watermark is None or counted.latest.watermark < ended:
        assert time.monotonic() < deadline, (counted.latest, ended, station.ask("/healthz"))
        assert station.process.poll() is None, "the station has ended"
        counted.follow(0.5)


def _read(day: Day, state: Path, counted: Counted) -> None:
    """Read everything in the topics, when all of it is counted."""
    deadline = time.monotonic() + PATIENCE
    known = -1
    while len(day.published) != known:
        known = len(day.published)
        ends = end_offsets(bootstrap_of(state), TOPICS)
        while not (counted.latest and all(counted.latest.offsets.get(n, 0) >= end for n, end in ends.items())):
            assert time.monotonic() < deadline, (counted.latest, ends)
            counted.follow(0.5)
        counted.follow(1.0)
        day.evaluation = counted.latest
        day.published, day.counted_at = [], {}
        for record in records(state, TOPICS.activity):
            activities = decode_batch(value).activities if (value := record.value()) else []
            day.published += activities
            if (at := counted.at(record.partition() or 0, record.offset() or 0)) is not None:
                day.counted_at.update((each.id, min(at, day.counted_at.get(each.id, at))) for each in activities)
    day.gaps = [
        msgspec.json.decode(value, type=Gap) for record in records(state, TOPICS.gaps) if (value := record.value())
    ]


def _unexplained(day: Day, world: World) -> list[str]:
    """Ids of what is missing although no feed has a gap there."""
    watched = [gap for gap in day.gaps if gap.feed not in ("github:/events", "huggingface:changes")]
    github, hub = (
        [(gap.start, gap.end) for gap in watched if gap.feed.startswith(name)] for name in ("github:", "huggingface:")
    )
    events = (
        {event.id: event for event in world.ask(lambda: list(world.github.events))} if day.expected - day.github else {}
    )
    missing = [(id_, events[id_].visible_at, github) for id_ in day.expected - day.github]
    missing += [(deed.id, deed.visible_at, hub) for deed in day.hub_missing]
    return [
        id_ for id_, time, gaps in missing if not any(start - _BESIDE <= time <= end + _BESIDE for start, end in gaps)
    ]


def _time(day: Day, world: World, told: list[Happened], since: int, ended: int) -> None:
    """How long after they were visible the watched events of GitHub, and what was `told` on the Hub, were received and
    counted.
    """
    events = world.ask(lambda: list(world.github.events))
    visible = {
        event.id: event.visible_at for event in events if event.id in day.expected and since <= event.visible_at < ended
    }
    day.delays[GITHUB] = of_github(visible, day.published, day.counted_at, world.clock)
    met = [deed for deed in told if deed.visible_at >= since]
    day.delays |= of_the_hub(met, day.published, day.counted_at, world.clock)


def _said(world: World, station: Station) -> tuple[int, float] | None:
    """For `/events`: (when it was read, the coverage that the station states). None while it states none."""
    now = world.clock.now()
    try:
        share = station.metric(r'^nomadwatch_feed_coverage_ratio{feed="github:/events"} (\S+)')
    except OSError:
        return None
    return None if share is None else (now, share)


def _coverage(world: World, said: list[tuple[int, float]], begun: int) -> tuple[float, float] | None:
    """For `/events`, over all moments at which it was stated: (the mean of the stated, that of the true coverage of the
    same hours).

    The stated coverage is about the time between polls, so the true one is taken from poll to poll: half a minute at
    either end would weigh as much as the difference to be found.
    """
    polls = [
        world.clock.at(each.at) for each in world.ask(lambda: list(world.github.api.requests)) if _is_poll(each.path)
    ]
    begun = polls[bisect_left(polls, begun)]
    shown = _shown(world, "/events")
    events = [event for event in world.ask(lambda: list(world.github.events)) if event.listed]
    times = np.array([event.visible_at for event in events])
    seen = np.cumsum([0, *(event.id in shown for event in events)])
    pairs = []
    for now, share in said:
        # The stated value is that of the last poll, up to a second of real time earlier.
        end = polls[bisect_right(polls, now - round(world.scale * SECOND)) - 1]
        first, last = np.searchsorted(times, (max(begun, end - 3600 * SECOND), end))
        if end - begun > 900 * SECOND and last > first:
            pairs.append((share, float(seen[last] - seen[first]) / float(last - first)))
    return tuple(np.mean(pairs, axis=0).tolist()) if pairs else None


def _is_poll(path: str) -> bool:
    """Whether a request is for the first page of `/events`."""
    return path.startswith("/events?") and path.endswith("&page=1")


def _found(folder: Path, logins: set[str]) -> set[str]:
    """Logins in any file under a folder."""
    return set().union(*(_words(path.read_bytes(), logins) for path in folder.rglob("*") if path.is_file()))


def _words(content: bytes, logins: set[str]) -> set[str]:
    """The logins that occur in a text as whole words."""
    words = {word.decode() for word in re.findall(rb"[A-Za-z0-9_-]+", content)}
    return words & logins


def _soon(delays: list[float]) -> float:
    """The share of delays, in percent, that are within ten minutes."""
    return 100 * float(np.mean(np.array(delays) <= 600)) if delays else float("nan")


def main() -> None:
    """Watch a day and print its row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=1.0, help="events of GitHub a simulated second")
    parser.add_argument("--scale", type=float, default=480.0)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--hub-rate", type=float, default=0.3, help="what happens on the Hub a simulated second")
    parser.add_argument(
        "--hub-repositories", type=int, default=0, help="watch at least so many repositories on the Hub"
    )
    parser.add_argument(
        "--rest", type=float, default=3.0, help="seconds of the wall's clock between two deaths (default: 3)"
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--calm", action="store_true", help="no faults, nobody dies")
    kind.add_argument("--no-bans", dest="bans", action="store_false", help="faults and deaths, but nobody is refused")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        day = watch(Path(name), **vars(options))
    assert day.evaluation is not None
    github = day.delays[GITHUB]
    received, counted, unhurried = map(_soon, (github.received, github.counted, github.unhurried))
    said, true = day.coverage or (float("nan"), float("nan"))
    print(
        f"{options.rate:g}/s, {options.hours:g} h at {options.scale:g} x, {day.kills} kills, {day.bans} bans: "
        f"watched events {len(day.expected):,}, missing {len(day.expected - day.github)}, "
        f"never shown {len(day.github - day.shown)}; "
        f"Hub {len(day.hub_expected):,}, missing {len(day.hub_expected - day.ids)}; "
        f"of these not in the ledger {len(day.unexplained)}; "
        f"published {len(day.published):,}, different {len(day.ids):,}, counted {day.evaluation.activities:,}; "
        f"within 10 min received {received:.2f} %, counted {counted:.2f} % "
        f"({unhurried:.2f} % where counting takes the wall's time); "
        f"coverage of /events said {100 * said:.1f} %, true {100 * true:.1f} %; "
        f"refused {day.refused[0]} and {day.refused[1]} times, offences {len(day.offences)}; "
        f"logins found {len(day.logins_found)}"
    )
    print(table(day.delays))
    print("    gaps:", dict(Counter(f"{gap.feed} {gap.reason}" for gap in day.gaps).most_common(6)))
    for odd in (
        day.logins_found[:5],
        sorted(day.expected - day.github)[:5],
        day.hub_missing[:3],
        day.hub_missing[-1:],
        day.offences[:3],
    ):
        if odd:
            print("    such as", odd)


if __name__ == "__main__":
    main()
