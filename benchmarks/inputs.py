"""Generated inputs: archive hours, and activities straight in the form in which the wire or a file has them.

python -m benchmarks.inputs FOLDER --days N --activities N [--disorder-hours N] writes hours of activities files.

Same arguments, same content. Activities are made a hundred times as fast as the simulator makes events, so that inputs
of a month can be tried; nobody knows the truth of them.
"""

import argparse
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import msgspec
import numpy as np
from isal import igzip

from simulator.clock import HOUR, MINUTE, SECOND, hour_name
from streams.activity import Activity, Batch, Cover, partition_of

# As an archive of those years is: in order, nothing late, nothing twice.
_QUIET: Final = ["--hub-events", "0", "--duplicates", "0", "--disorder-hours", "0", "--late", "0", "--future", "0"]
START: Final = 1_714_521_600_000_000
"""2024-05-01T00:00:00Z in µs."""
PARTITIONS: Final = 8
_BATCH: Final = 500
_PROMPT: Final = 20 * SECOND
_SPREAD: Final = 0x9E37_79B9_7F4A_7C15
_DUPLICATES: Final = 0.01
_BOTS: Final = 0.12
_PROJECTS: Final = ("olmo", "qwen", "gemma", "llama", "pythia")
# One repository in so many is watched.
_WATCHED: Final = 64
# (share, platform, kind, action)
_DEEDS: Final = (
    (40, "github", "push", None),
    (7, "github", "star", "started"),
    (2, "github", "fork", "forked"),
    (3, "github", "issue", "opened"),
    (2, "github", "issue", "closed"),
    (5, "github", "issue_comment", "created"),
    (4, "github", "pull_request", "opened"),
    (3, "github", "pull_request", "merged"),
    (2, "github", "review", "created"),
    (2, "github", "review_comment", "created"),
    (3, "github", "repository", "created"),
    (6, "github", "branch", "created"),
    (3, "github", "branch", "deleted"),
    (1, "github", "release", "published"),
    (10, "huggingface", "commit", None),
    (4, "huggingface", "like", None),
    (2, "huggingface", "repository", "created"),
    (1, "huggingface", "discussion", "opened"),
)
_encode: Final = msgspec.json.Encoder()


class Size(NamedTuple):
    """How much in how many days, and up to how many hours a tenth of it comes late: 0 as in a quiet archive, seconds.

    No days: all in one hour.
    """

    days: float
    activities: int
    disorder_hours: int = 6

    @property
    def hours(self) -> int:
        """Archive hours."""
        return max(1, round(24 * self.days))


def quiet_hours(folder: Path, events: int, hours: int = 1) -> Path:
    """Archive hours of GitHub with full payloads, `events` in each, in order and without repetition; their folder."""
    size = ["--hours", str(hours), "--events", str(events), "--seed", "7"]
    command = [sys.executable, "-m", "simulator", "hour", "--out", str(folder), *size, *_QUIET]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def hours(size: Size, start: int = START) -> Iterator[list[Activity]]:
    """The activities that arrive in each hour, in order of their arrival.

    Half of them happened up to 5 minutes before, four in ten up to an hour, one in ten up to `disorder_hours`, if there
    are any; one in a hundred comes again, within the hour or in a later one. Repositories and people have heavy tails.
    """
    make = _Maker(size)
    for hour in range(size.hours):
        count = size.activities * (hour + 1) // size.hours - size.activities * hour // size.hours
        yield make.hour(start + hour * HOUR, count)


class _Maker:
    """Makes hour after hour."""

    def __init__(self, size: Size) -> None:
        self._numbers = np.random.default_rng(7)
        self._random = Random(7)
        late = [5 * MINUTE, HOUR, size.disorder_hours * HOUR]
        self._delays = np.array(late if size.disorder_hours else [_PROMPT] * 3)
        self._repositories, self._people = 20 + size.activities // 4, 20 + size.activities // 5
        shares = np.array(list(accumulate(share for share, *_ in _DEEDS)))
        self._shares = shares / shares[-1]
        self._opened: deque[Activity] = deque(maxlen=2_000)
        self._met: deque[Activity] = deque(maxlen=20_000)
        self._number = 0

    def hour(self, start: int, count: int) -> list[Activity]:
        """What arrives in the hour from `start`."""
        draw = self._numbers.random
        arrived = start + np.sort(draw(count) * HOUR).astype(np.int64)
        kinds = np.searchsorted(np.array([0.5, 0.9]), draw(count))
        occurred = arrived - (draw(count) * self._delays[kinds]).astype(np.int64)
        repositories = (self._repositories * draw(count) ** 2.5).astype(np.int64)
        # Most people are met in few repositories.
        people = (repositories * 7 + (8 * draw(count) ** 2).astype(np.int64)) % self._people
        columns = (
            arrived.tolist(),
            occurred.tolist(),
            np.searchsorted(self._shares, draw(count)).tolist(),
            repositories.tolist(),
            people.tolist(),
            np.minimum(self._numbers.zipf(2.0, count), 500).tolist(),
        )
        made = [self._activity(*row) for row in zip(*columns, strict=True)]
        again = self._random.sample(self._met, min(len(self._met), round(_DUPLICATES * count)))
        made += [msgspec.structs.replace(each, ingested_at=start + self._random.randrange(HOUR)) for each in again]
        made.sort(key=lambda activity: activity.ingested_at)
        return made

    def _activity(
        self, arrived: int, occurred: int, place: int, repository: int, person: int, commits: int
    ) -> Activity:
        _, platform, kind, action = _DEEDS[place]
        self._number += 1
        activity = Activity(
            id=f"{platform}:{kind}:{self._number}",
            platform=platform,
            kind=kind,
            occurred_at=occurred,
            ingested_at=arrived,
            repo_id=(repository * 2 + (platform != "github") + 1) * _SPREAD % (1 << 64),
            repo=f"owner-{repository % 9973}/repository-{repository}",
            owner=f"owner-{repository % 9973}",
            actor=(person + 1) * _SPREAD % (1 << 64),
            action=action,
            artefact="software" if platform == "github" else "model",
            bot=person % 100 < 100 * _BOTS,
            project=_PROJECTS[repository // _WATCHED % len(_PROJECTS)] if repository % _WATCHED == 0 else None,
            commits=commits if kind in ("push", "commit") else None,
            simulated=True,
        )
        if kind == "pull_request":
            self._thread(activity)
        if self._number % 50 == 0:
            self._met.append(activity)
        return activity

    def _thread(self, activity: Activity) -> None:
        """Let a pull request be opened, or one of those that were opened lately be merged."""
        if activity.action == "opened" or not self._opened:
            activity.thread = self._number & 0xFFFF_FFFF
            self._opened.append(activity)
            return
        opened = self._opened[-1 - int(len(self._opened) * self._random.random() ** 2)]
        activity.thread = opened.thread
        for name in ("repo_id", "repo", "owner", "project"):
            setattr(activity, name, getattr(opened, name))


def batches(size: Size, *, closed: bool = True) -> Iterator[tuple[int, Batch]]:
    """(partition, batch) of each record that the reader of these hours would write to the topic `activity`; `closed`:
    the last ones say that the feed has ended.
    """
    for own in batches_by_hour(size, closed=closed):
        yield from own


def batches_by_hour(size: Size, *, closed: bool = True) -> Iterator[list[tuple[int, Batch]]]:
    """The same, hour by hour."""
    sequences = [0] * PARTITIONS

    def batch(partition: int, activities: list[Activity], **marks: object) -> tuple[int, Batch]:
        sequences[partition] += 1
        number = sequences[partition] - 1
        return partition, Batch(feed="archive", activities=activities, sequence=number, **marks)  # type: ignore[arg-type]

    for hour, activities in enumerate(hours(size)):
        begin = START + hour * HOUR
        found = [batch(partition, [], complete_to=begin) for partition in range(PARTITIONS)]
        waiting: list[list[Activity]] = [[] for _ in range(PARTITIONS)]
        for activity in activities:
            partition = partition_of(activity.repo_id, PARTITIONS)
            waiting[partition].append(activity)
            if len(waiting[partition]) == _BATCH:
                found.append(batch(partition, waiting[partition]))
                waiting[partition] = []
        covered = [Cover(platform, begin, begin + HOUR) for platform in ("github", "huggingface")]
        ends = closed and hour + 1 == size.hours
        for partition, own in enumerate(waiting):
            if own:
                found.append(batch(partition, own))
            found.append(batch(partition, [], complete_to=begin + HOUR, covered=covered, closed=ends))
        yield found


def write(folder: Path, size: Size) -> Path:
    """Hours of activities files, as `nomadwatch replay` reads them; their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for hour, activities in enumerate(hours(size)):
        path = folder / f"{hour_name(START + hour * HOUR)}.activities.ndjson.gz"
        with igzip.open(path, "wb", compresslevel=1) as file:
            file.write(_encode.encode_lines(activities))
    return folder


def add_size(parser: argparse.ArgumentParser, size: Size) -> None:
    """The options of a size, with defaults."""
    parser.add_argument("--days", type=float, default=size.days, help=f"default: {size.days:g}; 0: one hour")
    parser.add_argument(
        "--activities", type=int, default=size.activities, help=f"in all (default: {size.activities:,})"
    )
    parser.add_argument(
        "--disorder-hours", type=int, default=size.disorder_hours, help="how late a tenth comes at most"
    )


def main() -> None:
    """Write files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    add_size(parser, Size(1, 100_000))
    options = parser.parse_args()
    write(options.folder, Size(options.days, options.activities, options.disorder_hours))


if __name__ == "__main__":
    main()
