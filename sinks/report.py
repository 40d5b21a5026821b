"""The report: one evaluation and what it was made from, as JSON or CSV. `sinks.table` shows it to people."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from agents.measurements import Evaluation, Measurement
from sinks.board import World, in_order
from sinks.cells import row_of
from sinks.covered import Coverages
from streams.archive.doubts import Doubt

_MOST_NAMED: Final = 3
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class HourDoubtful(msgspec.Struct, kw_only=True):
    """An hour of an archive with far fewer events than the hours around it. `usual`: the median of these."""

    hour: str
    events: int
    usual: int


def in_words(doubtful: Sequence[HourDoubtful]) -> str:
    """A line with the first doubtful hours.

    >>> in_words([HourDoubtful(hour="2020-10-30T17:00:00Z", events=605, usual=6000)])
    'far fewer events than in the hours around it: 2020-10-30T17:00:00Z (605 instead of 6,000)'
    """
    named = [f"{each.hour} ({each.events:,} instead of {each.usual:,})" for each in doubtful[:_MOST_NAMED]]
    more = [f"and {len(doubtful) - _MOST_NAMED:,} more"] if len(doubtful) > _MOST_NAMED else []
    return "far fewer events than in the hours around it: " + ", ".join([*named, *more])


class Input(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The input of an evaluation. `files` and `after_as_of` (activities after the requested end) are of replays only.

    `activities`: those that count. `late`: left out, because they are too old to be checked for duplicates. `missing`:
    records that the broker had deleted before they were counted. `hour_doubtful`: hours that may be incomplete,
    although their files were read to the end.
    """

    files: int | None = None
    activities: int
    duplicates: int
    late: int
    dead_letters: dict[str, int]
    after_as_of: int | None = None
    missing: int = 0
    hour_doubtful: list[HourDoubtful] = []

    def __post_init__(self) -> None:
        self.dead_letters = dict(sorted(self.dead_letters.items()))


class Report(msgspec.Struct, kw_only=True):
    """A report. `world`: `real`, or `simulated` if any part of the figures comes from a simulated world.

    Times are RFC 3339. `as_of`: the front. `watermark`: up to where the input is complete. Both are None while nothing
    has arrived. `behind`: windows that a busy live station last evaluated at an earlier front, with that front.
    """

    world: World
    as_of: str | None
    behind: dict[str, str] | UnsetType = UNSET
    watermark: str | None
    input: Input
    measurements: list[Measurement]

    def moment_of(self, measurement: Measurement) -> str | None:
        """The front at which the window of a measurement was evaluated."""
        behind = {} if self.behind is UNSET else self.behind
        return behind.get(measurement.labels.get("window", ""), self.as_of)


def rfc3339(time: int | None) -> str | None:
    """A time (µs UTC) as RFC 3339, with as many decimals as needed.

    >>> rfc3339(1_420_072_200_000_000), rfc3339(1_420_072_199_999_999)
    ('2015-01-01T00:30:00Z', '2015-01-01T00:29:59.999999Z')
    """
    if time is None:
        return None
    moment = _EPOCH + timedelta(microseconds=time)
    text = moment.replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def build(
    evaluation: Evaluation | None,
    measurements: Iterable[Measurement],
    *,
    world: World = "real",
    files: int | None = None,
    dead_letters: Mapping[str, int] | None = None,
    after_as_of: int | None = None,
    doubtful: Iterable[Doubt] = (),
) -> Report:
    """The report of an evaluation. `world` is the board's, which knows more than its evaluation.

    The reader provides files, doubtful hours, dead letters and activities after the end; its dead letters are added to
    those of the evaluation.
    """
    letters = dict(dead_letters or {})
    behind = evaluation.behind if evaluation else {}
    for reason, count in (evaluation.dead_letters if evaluation else {}).items():
        letters[reason] = letters.get(reason, 0) + count
    return Report(
        world=world,
        as_of=rfc3339(evaluation.front if evaluation else None),
        behind={window: str(rfc3339(front)) for window, front in behind.items()} or UNSET,
        watermark=rfc3339(evaluation.watermark if evaluation else None),
        input=Input(
            files=files,
            activities=evaluation.activities if evaluation else 0,
            duplicates=evaluation.duplicates if evaluation else 0,
            late=evaluation.late if evaluation else 0,
            dead_letters=letters,
            after_as_of=after_as_of,
            missing=evaluation.missing if evaluation else 0,
            hour_doubtful=[
                HourDoubtful(hour=str(rfc3339(each.hour)), events=each.events, usual=each.usual) for each in doubtful
            ],
        ),
        measurements=in_order(measurements),
    )


def as_json(report: Report) -> str:
    """JSON, indented, with one measurement on each line. Equal reports give equal texts."""
    head = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(report, measurements=[])), indent=2).decode()
    if not report.measurements:
        return head + "\n"
    encode = msgspec.json.Encoder(order="deterministic").encode
    lines = ",\n".join("    " + encode(each).decode() for each in report.measurements)
    assert head.endswith("[]\n}")
    return f"{head[:-4]}[\n{lines}\n  ]\n}}\n"


def as_csv(report: Report) -> str:
    """CSV with one row for each measurement: name, every label (empty if absent), value, coverage, times, world."""
    labels = sorted({label for each in report.measurements for label in each.labels})
    coverage = Coverages(report.measurements)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *labels, "value", "coverage", "as_of", "watermark", "world"])
    for each in report.measurements:
        own = [each.labels.get(label) for label in labels]
        writer.writerow(
            row_of(
                [each.name, *own, each.value, coverage.of(each), report.moment_of(each), report.watermark, report.world]
            )
        )
    return text.getvalue()
