"""The records of the topic `measurements`: the contract between `measure` and everything that shows its results.

A measurement's key is its series as Prometheus writes it (`name{label="value",…}`), its value `{"name", "labels",
"value"}`; a series that is no longer known gets a tombstone. After the measurements that changed follows, in the same
transaction, the evaluation under the key `evaluation`: what they were computed from. A reader uses measurements once
their evaluation has arrived.

Other roles publish their health, and what only they know, each under a key of its own (`health/ROLE`). A reader uses
that at once, and prefers it to a measurement of the same series.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import accumulate
from math import inf
from typing import Final

import msgspec

from streams.activity import LATEST, Foreign
from streams.github_payloads import UNDECODABLE

EVALUATION: Final = b"evaluation"
_HEALTH: Final = b"health/"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST: Final = 1 << 63
LATENCY: Final = "nomadwatch_pipeline_latency_seconds"
# Seconds; what a board shows is stale after the last.
_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Measurement(msgspec.Struct, frozen=True):
    """One value of one series; `name` with the prefix `nomadwatch_`."""

    name: str
    labels: dict[str, str]
    value: float


class Histogram(msgspec.Struct):
    """Durations in seconds, counted in buckets since a process began. Negative ones count as 0, because the clocks of
    two machines may differ.

    >>> histogram = Histogram()
    >>> list(histogram.rows(LATENCY, {"stage": "shown"}))
    []
    >>> histogram.observe(0.2)
    >>> [(row.labels.get("le"), row.value) for row in histogram.rows(LATENCY, {"stage": "shown"})][:3]
    [('0.1', 0), ('0.25', 1), ('0.5', 1)]
    """

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * (len(_BUCKETS) + 1))
    sum: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        seconds = max(0.0, seconds)
        self.counts[bisect_left(_BUCKETS, seconds)] += 1
        self.sum += seconds

    def rows(self, name: str, labels: dict[str, str]) -> Iterator[Measurement]:
        """As the catalogue's histogram of that name; none before the first observation."""
        if not any(self.counts):
            return
        for edge, count in zip((*_BUCKETS, inf), accumulate(self.counts), strict=True):
            yield Measurement(name + "_bucket", {**labels, "le": "+Inf" if edge == inf else str(edge)}, count)
        yield Measurement(name + "_count", labels, sum(self.counts))
        yield Measurement(name + "_sum", labels, self.sum)


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The state that the measurements before it show. Times in µs UTC; `offsets`: the next offset of each partition of
    `activity`.

    `front` is None until something has arrived. `missing` records were gone before they could be counted. `closed`:
    the feeds of every partition have ended. `latencies`: by stage, how long what has arrived took, as far as the
    evaluating process saw it. `simulated`: some of the activities come from a simulated world. `behind`: windows that
    were last evaluated at an earlier front than `front`, with that front (µs); they follow within seconds. `held`:
    windows that were last evaluated before something of `offsets` came, with the offsets that they hold (none: not
    since `measure` was started).
    """

    evaluated_at: int
    front: int | None
    watermark: int | None
    offsets: dict[int, int]
    activities: int
    duplicates: int
    late: int
    missing: int = 0
    dead_letters: dict[str, int]
    closed: bool
    latencies: dict[str, Histogram] = {}
    simulated: bool = False
    behind: dict[str, int] = {}
    held: dict[str, dict[int, int]] = {}


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a role was doing at `evaluated_at` (µs UTC): all its rows of the catalogue, and of its feeds the state in
    words.

    A histogram's rows end in `_bucket` (with the label `le`), `_count` and `_sum`. `simulated`: the role looks at a
    simulated world. `artefacts`: what the Hub's watched repositories are that are no models, by name; said now and
    then, and true until it is said again.
    """

    role: str
    evaluated_at: int
    rows: list[Measurement]
    states: dict[str, str] = {}
    simulated: bool = False
    artefacts: dict[str, str] = {}


def is_well(state: str) -> bool:
    """Whether the state of a feed says that all is well, whatever else there is to know.

    >>> is_well("ok"), is_well("ok, moved to new-org/tool"), is_well("failing: 502")
    (True, True, False)
    """
    return state == "ok" or state.startswith("ok, ")


def health_key(role: str) -> bytes:
    """The key of a role's health.

    >>> health_key("streams"), is_health(health_key("streams")), is_health(EVALUATION)
    (b'health/streams', True, False)
    """
    return _HEALTH + role.encode()


def is_health(key: bytes) -> bool:
    """Whether a record is a role's health, rather than of an evaluation."""
    return key.startswith(_HEALTH)


def series(name: str, labels: Mapping[str, str]) -> bytes:
    r"""The key of a series.

    >>> series("nomadwatch_commits", {"window": "1h", "platform": "github"})
    b'nomadwatch_commits{platform="github",window="1h"}'
    """
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    return f"{name}{{{inner}}}".encode()


encode = msgspec.json.Encoder().encode
decode_measurement = msgspec.json.Decoder(Measurement).decode
decode_evaluation = msgspec.json.Decoder(Evaluation).decode
decode_health = msgspec.json.Decoder(HealthReport).decode


def read(key: bytes | None, value: bytes | None) -> Measurement | Evaluation | HealthReport | None:
    """The content of a record of the topic; None for a tombstone. Raises Foreign for what none of our programs can have
    written.

    >>> read(b"nomadwatch_commits{}", b'{"name":"nomadwatch_commits","labels":{},"value":3}').value
    3.0
    >>> read(b"old", b'{"name":1}')
    Traceback (most recent call last):
    streams.activity.Foreign: Expected `str`, got `int` - at `$.name`
    """
    if key is None:
        raise Foreign("a record without a key")
    if value is None:
        return None
    found: Measurement | Evaluation | HealthReport
    try:
        if is_health(key):
            found = report = decode_health(value)
            sound = (
                health_key(report.role) == key
                and 0 <= report.evaluated_at < LATEST
                and all(map(_is_sound, report.rows))
            )
        elif key == EVALUATION:
            found = seen = decode_evaluation(value)
            sound = _is_sound_evaluation(seen)
        else:
            found = row = decode_measurement(value)
            sound = series(row.name, row.labels) == key and _is_sound(row)
    except UNDECODABLE as error:
        raise Foreign(str(error)) from None
    if not sound:
        raise Foreign(f"{key[:60].decode(errors='replace')} says what cannot be")
    return found


def _is_sound(row: Measurement) -> bool:
    """Whether it can be shown. Prometheus refuses a whole scrape for one wrong name; times must be valid."""
    if not _NAME.fullmatch(row.name) or not all(map(_NAME.fullmatch, row.labels)):
        return False
    if row.name.endswith("_timestamp_seconds") and not 0 <= row.value < LATEST / 1e6:
        return False
    return not row.name.endswith("_bucket") or _is_edge(row.labels.get("le", ""))


def _is_edge(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False


def _is_sound_evaluation(seen: Evaluation) -> bool:
    counts = (
        seen.activities,
        seen.duplicates,
        seen.late,
        seen.missing,
        *seen.offsets.values(),
        *(offset for offsets in seen.held.values() for offset in offsets.values()),
        *seen.dead_letters.values(),
    )
    times = (seen.evaluated_at, seen.front, seen.watermark)
    return (
        all(0 <= count < _MOST for count in counts)
        and all(time is None or 0 <= time < LATEST for time in times)
        and all(
            len(each.counts) == len(_BUCKETS) + 1 and all(0 <= count < _MOST for count in each.counts) and each.sum >= 0
            for each in seen.latencies.values()
        )
    )
