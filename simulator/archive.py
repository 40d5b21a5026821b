"""Writes a world's hours as an archive has them, with late, repeated and disordered lines and garbage, and states the
truth about them.
"""

import heapq
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import IO, Final, Literal, NamedTuple

import yaml
import zstandard
from isal import igzip

from simulator.clock import DAY, HOUR, MINUTE, SECOND, hour_name
from simulator.deed import Deed
from simulator.events import EventWriter
from simulator.hub import HubActs
from simulator.population import WATCHED, WATCHLIST, Watched
from simulator.truth import StreamTruth
from simulator.wire import deed
from simulator.world import World, deeds

Packing = Literal["gz", "zst", "plain"]

# Lines that are no events, each with the reason of its dead letter.
GARBAGE: Final = (
    (b'{"id":"1","type":"PushEvent","actor":{"id":1,"lo\n', "json"),
    (b"null\n", "not-an-event"),
    (b'["PushEvent"]\n', "not-an-event"),
    (b'"PushEvent"\n', "not-an-event"),
    (
        b'{"id":"%d","type":"SponsorshipEvent","actor":{"id":1,"login":"a"},"repo":{"id":1,"name":"a/b"},"payload":{},'
        b'"created_at":"2024-05-01T00:00:00Z"}\n',
        "unknown-type",
    ),
    (
        b'{"id":"%d","type":"WatchEvent","actor":{"id":1,"login":"a"},"payload":{"action":"started"},'
        b'"created_at":"2024-05-01T00:00:00Z"}\n',
        "missing-field",
    ),
    (
        b'{"id":"%d","type":"WatchEvent","actor":{"id":1,"login":"a"},"repo":{"id":1,"name":"a/b"},'
        b'"payload":{"action":"started"},'
        b'"created_at":"yesterday"}\n',
        "bad-time",
    ),
)
_DELAYED: Final = 0.1
_JITTER: Final = 90 * SECOND
_COPY_HOURS: Final = 6


@dataclass(frozen=True, kw_only=True)
class ArchivePlan:
    """What to write: `hours` from `start` (µs, a full hour), the lines in each, and their disorder.

    `duplicates`, `late` (older than three days) and `future` are shares of the lines. A tenth of the lines comes up to
    `disorder_hours` late. `garbage` lines that are no events are spread over the whole archive.
    """

    start: int
    hours: int = 1
    events: int = 1_000
    hub_events: int = 200
    era: str = "2024"
    seed: int = 1
    duplicates: float = 0.01
    disorder_hours: int = 6
    late: float = 0.005
    future: float = 0.001
    garbage: int = 0
    packing: Packing = "gz"


class ArchiveLine(NamedTuple):
    """A line and its deeds, or the reason why it has none. Lines are ordered by their position in the file."""

    place: int
    number: int
    content: bytes
    deeds: list[Deed]
    reason: str = ""


class _ArchiveFeed(ABC):
    """One platform's files."""

    platform: str
    suffix: str

    def __init__(self, plan: ArchivePlan, lines: int) -> None:
        self.plan = plan
        self.lines = lines
        self._random = Random(f"archive/{self.platform}/{plan.seed}")
        self._number = 0
        self._copies: dict[int, list[ArchiveLine]] = {}

    @abstractmethod
    def draw(self, time: int, hour_end: int, *, merges: bool) -> Iterator[tuple[bytes, list[Deed]]]:
        """The lines of the next thing that happens."""

    def hour(self, index: int) -> Iterator[ArchiveLine]:
        """The lines of one file, in order."""
        plan, random = self.plan, self._random
        start = plan.start + index * HOUR
        waiting = [line._replace(place=start + random.randrange(HOUR)) for line in self._copies.pop(index, [])]
        waiting += self._garbage(index, start)
        heapq.heapify(waiting)
        for base in sorted(random.randrange(HOUR) for _ in range(self.lines)):
            while waiting and waiting[0].place < start + base:
                yield heapq.heappop(waiting)
            time, future = self._when(start + base, start + HOUR)
            for content, meant in self.draw(time, start + HOUR, merges=not future):
                # Neighbours are out of order, as in the real archive.
                place = start + base + (random.randrange(_JITTER) if random.random() < 0.3 else 0)
                line = self._line(place, content, meant)
                heapq.heappush(waiting, line)
                if random.random() < plan.duplicates:
                    self._copy(line, index, waiting, anywhere=not future)
        while waiting:
            yield heapq.heappop(waiting)

    def _line(self, place: int, content: bytes, meant: list[Deed], reason: str = "") -> ArchiveLine:
        self._number += 1
        return ArchiveLine(place, self._number, content, meant, reason)

    def _when(self, base: int, end: int) -> tuple[int, bool]:
        """(the stated time, whether it lies in the future)."""
        plan, random = self.plan, self._random
        draw = random.random()
        if draw < plan.future:
            ahead = (
                random.randrange(MINUTE, 20 * HOUR)
                if random.random() < 0.5
                else DAY + random.randrange(2 * SECOND, 5 * DAY)
            )
            return end + ahead, True
        if draw < plan.future + plan.late:
            return base - random.randrange(3 * DAY, 20 * DAY), False
        if plan.disorder_hours and draw < plan.future + plan.late + _DELAYED:
            return base - random.randrange(plan.disorder_hours * HOUR), False
        return base, False

    def _copy(self, line: ArchiveLine, index: int, waiting: list[ArchiveLine], *, anywhere: bool) -> None:
        """The same line once more: later in the file or, if its time still means the same there, in a later file."""
        later = index + self._random.randint(1, _COPY_HOURS)
        copy = self._line(line.place + self._random.randrange(HOUR), line.content, line.deeds)
        if anywhere and later < self.plan.hours and self._random.random() < 0.5:
            self._copies.setdefault(later, []).append(copy)
        else:
            heapq.heappush(waiting, copy)

    def _garbage(self, index: int, start: int) -> list[ArchiveLine]:
        return []


class _GithubFeed(_ArchiveFeed):
    platform, suffix = "github", "json"

    def __init__(self, plan: ArchivePlan, watched: Watched) -> None:
        super().__init__(plan, plan.events)
        size = plan.events * plan.hours
        self._world = World(
            plan.seed, repositories=30 + size // 3, people=40 + size // 4, era=plan.era, watched=watched
        )
        self._writer = EventWriter(plan.seed, plan.era, marked=True)

    def draw(self, time: int, hour_end: int, *, merges: bool) -> Iterator[tuple[bytes, list[Deed]]]:
        happening = self._world.happen(time // SECOND * SECOND, merges=merges)
        yield self._writer.line(happening), deeds(happening, self.plan.era)

    def _garbage(self, index: int, start: int) -> list[ArchiveLine]:
        lines = []
        for number in range(index, self.plan.garbage, self.plan.hours):
            content, reason = GARBAGE[number % len(GARBAGE)]
            content = content.replace(b"%d", b"%d" % number)
            lines.append(self._line(start + self._random.randrange(HOUR), content, [], reason))
        return lines


class _HubFeed(_ArchiveFeed):
    platform, suffix = "huggingface", "activities.ndjson"

    def __init__(self, plan: ArchivePlan, watched: Watched) -> None:
        super().__init__(plan, plan.hub_events)
        size = plan.hub_events * plan.hours
        self._hub = HubActs(plan.seed, repositories=30 + size // 2, people=40 + size // 3, watched=watched)

    def draw(self, time: int, hour_end: int, *, merges: bool) -> Iterator[tuple[bytes, list[Deed]]]:
        for activity in self._hub.happen(time, hour_end, merges=merges):
            yield json.dumps(activity, separators=(",", ":")).encode() + b"\n", [deed(activity)]


def write(directory: Path, plan: ArchivePlan, watched: Watched = WATCHED) -> tuple[list[Path], StreamTruth]:
    """Write the plan's files into an existing directory. Returns the files and the truth about them.

    A `watchlist.yaml` beside the files names what is watched in this world; `nomadwatch replay` uses it by itself.
    """
    truth = StreamTruth()
    (directory / "watchlist.yaml").write_text(_watchlist(watched), "utf-8")
    paths: list[Path] = []
    feeds = [feed for feed in (_GithubFeed(plan, watched), _HubFeed(plan, watched)) if feed.lines]
    for index in range(plan.hours):
        start = plan.start + index * HOUR
        for feed in feeds:
            path = (
                directory / f"{hour_name(start)}.{feed.suffix}{'' if plan.packing == 'plain' else '.' + plan.packing}"
            )
            with path.open("wb") as file, _packed(file, plan.packing) as out:
                for line in feed.hour(index):
                    out.write(line.content)
                    _tell(truth, line, start + HOUR)
            truth.files += 1
            truth.cover(feed.platform, start, start + HOUR)
            paths.append(path)
    truth.mark(plan.start + plan.hours * HOUR)
    return paths, truth


def _watchlist(watched: Watched) -> str:
    if watched is WATCHED:
        return WATCHLIST.read_text("utf-8")
    places = [{"project": name, "github": [*github], "huggingface": [*hub]} for name, (github, hub) in watched.items()]
    return yaml.safe_dump(places, sort_keys=False)


def _packed(file: IO[bytes], packing: Packing) -> IO[bytes]:
    # Without time and name in the header the same seed gives the same bytes.
    if packing == "gz":
        packed: IO[bytes] = igzip.IGzipFile(filename="", mode="wb", compresslevel=2, fileobj=file, mtime=0)
        return packed
    if packing == "zst":
        return zstandard.ZstdCompressor(level=1).stream_writer(file, closefd=False)
    return file


def _tell(truth: StreamTruth, line: ArchiveLine, ingested_at: int) -> None:
    if line.reason:
        truth.drop(line.reason)
    for done in line.deeds:
        truth.arrive(done, ingested_at)
