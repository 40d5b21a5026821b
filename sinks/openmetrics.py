"""A history as OpenMetrics text with timestamps, one file a day (UTC).

`promtool tsdb create-blocks-from openmetrics` makes blocks for Prometheus of it.

Names, labels and values are those of `/metrics`. The families of a file are in the order of the catalogue, the series
of a family follow each other, and the samples of a series are in order of time. A file ends in `# EOF`.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec

from agents.catalogue import CATALOGUE
from agents.measurements import Measurement
from agents.metric import Metric
from sinks.about import build_info
from streams.activity import DAY, SECOND

SUFFIX: Final = ".openmetrics"
SIMULATED: Final = ".simulated"
PARTIAL: Final = ".partial"
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

# A time (µs UTC) and the measurements at that time.
Point = tuple[int, Iterable[Measurement]]


class Written(msgspec.Struct, frozen=True):
    """The size of a history."""

    days: int = 0
    points: int = 0
    samples: int = 0


def is_history(name: str) -> bool:
    """Whether a file name is one of a history.

    >>> [is_history(f"{name}.openmetrics") for name in ("2015-02-22", "2015-02-22.simulated", "notes")]
    [True, True, False]
    """
    try:
        return name.endswith(SUFFIX) and bool(
            datetime.strptime(name.removesuffix(SUFFIX).removesuffix(SIMULATED), "%Y-%m-%d")
        )
    except ValueError:
        return False


def write(folder: Path, points: Iterable[Point], *, simulated: bool = False) -> Written:
    """Write points of rising time into a folder, in place of the history that it holds. Creates the folder if needed.

    For a simulated world, the file names say so, and every point has `nomadwatch_build_info{world="simulated"}`. One
    day is in memory at a time. The folder changes only when the last day is written, and files are never partial.
    Raises OSError.
    """
    partial = folder / PARTIAL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        written = Written()
        for day, own in groupby(points, key=lambda point: _day(point[0])):
            if simulated:
                own = ((time, [*measurements, build_info("simulated")]) for time, measurements in own)
            written = _write_day(partial / f"{day}{SIMULATED * simulated}{SUFFIX}", own, written)
        earlier = {path.name for path in folder.iterdir() if is_history(path.name)}
        for path in sorted(partial.iterdir()):
            path.replace(folder / path.name)
            earlier.discard(path.name)
        for name in earlier:
            (folder / name).unlink()
        return written
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _day(time: int) -> str:
    """The day of the hour that ends at a time."""
    return datetime.fromtimestamp((time - 1) // DAY * DAY // SECOND, UTC).strftime("%Y-%m-%d")


def _write_day(path: Path, points: Iterable[Point], before: Written) -> Written:
    """Write the file of a day; returns the size of the history so far."""
    families: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    times = samples = 0
    for time, measurements in points:
        # Whole seconds: Prometheus parses others as binary fractions, which can be a millisecond off.
        stamp = -(-time // SECOND)
        times += 1
        for each in measurements:
            families[each.name][_labels(each.labels)].append(f"{each.value!r} {stamp}\n")
            samples += 1
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in CATALOGUE:
            if row.name in families:
                file.writelines(_header(row))
                for labels, own in sorted(families.pop(row.name).items()):
                    file.writelines(f"{row.name}{labels} {sample}" for sample in own)
        file.write("# EOF\n")
        file.flush()
        os.fsync(file.fileno())
    assert not families, f"not in the catalogue: {sorted(families)}"
    return Written(before.days + 1, before.points + times, before.samples + samples)


def _labels(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in sorted(labels.items()))
    return f"{{{inner}}}" if inner else ""


def _header(row: Metric) -> Iterator[str]:
    """As on `/metrics`: a UNIT line if the name ends in the unit, as OpenMetrics requires; else the unit is in the
    help.
    """
    named = row.family.endswith("_" + row.unit)
    text = row.help if named else f"{row.help} Unit: {row.unit}."
    yield f"# HELP {row.family} {text.translate(_ESCAPES)}\n"
    yield f"# TYPE {row.family} {row.type}\n"
    if named:
        yield f"# UNIT {row.family} {row.unit}\n"
