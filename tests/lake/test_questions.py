"""docs/lake.md: every query of the page answers its question, as plain Python over the same activities does; and the
columns are those that the page describes.
"""

import re
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents.measurements import Measurement
from simulator.deed import Deed
from simulator.population import WATCHLIST
from sinks.lake.folder import Lake
from sinks.lake.measured import keep
from sinks.lake.read import asked, opened
from sinks.lake.tables import TABLES
from sinks.parquet import label_columns
from sinks.report import Input, Report
from streams.watchlist import Watchlist
from tests.lake.made import filled, refreshed, truth, world

PROJECTS = {project.project for project in Watchlist.load(str(WATCHLIST)).projects}
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "lake.md").read_text()
QUESTIONS = {
    int(number): sql for number, sql in re.findall(r"\n### (\d+)\. (?:(?!\n### ).)*?```sql\n(.*?)```", PAGE, re.DOTALL)
}
TYPES = {
    "TIMESTAMP WITH TIME ZONE": "timestamptz", "VARCHAR": "text", "UBIGINT": "uint64", "UINTEGER": "uint32",
    "TINYINT": "int8", "BIGINT": "int64", "BOOLEAN": "bool", "DOUBLE": "float64", "DATE": "date",
}  # fmt: skip

Rows = list[tuple[Any, ...]]
Happened = list[tuple[Deed, dict[str, Any]]]
EXPECTED: dict[int, Callable[[Happened], Rows]] = {}


def answers(number: int) -> Callable[[Callable[[Happened], Rows]], Callable[[Happened], Rows]]:
    def put(function: Callable[[Happened], Rows]) -> Callable[[Happened], Rows]:
        EXPECTED[number] = function
        return function

    return put


def moment(deed: Deed) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=deed.occurred_at)


def monday(when: datetime) -> date:
    return when.date() - timedelta(days=when.weekday())


def people(happened: Happened) -> list[Deed]:
    return [deed for deed, _ in happened if not deed.bot]


def names(happened: Happened) -> dict[tuple[str, int], str]:
    """The newest names; of a repository that only bots were met in there is none."""
    told = sorted((deed for deed, _ in happened if not deed.bot), key=lambda deed: (deed.occurred_at, deed.name))
    return {(deed.platform, deed.repository): deed.name for deed in told}


@answers(1)
def side_by_side(happened: Happened) -> Rows:
    weeks: defaultdict[date, dict[str, list[int]]] = defaultdict(lambda: {"olmo": [], "pythia": []})
    for deed in people(happened):
        inside = datetime(2024, 5, 1, tzinfo=UTC) <= moment(deed) < datetime(2024, 8, 1, tzinfo=UTC)
        if deed.project in ("olmo", "pythia") and deed.feature != "upkeep" and inside:
            weeks[monday(moment(deed))][str(deed.project)].append(deed.actor)
    return [
        (week, len(own["olmo"]), len(set(own["olmo"])), len(own["pythia"]), len(set(own["pythia"])))
        for week, own in sorted(weeks.items())
    ]


@answers(2)
def after_a_release(happened: Happened) -> Rows:
    june = [
        deed.occurred_at
        for deed, _ in happened
        if deed.project == "olmo" and deed.feature == "publication" and moment(deed).strftime("%Y-%m") == "2024-06"
    ]
    own = [deed for deed in people(happened) if deed.project == "olmo"]
    known = {deed.actor for deed in own if deed.occurred_at < min(june)}
    came: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for deed in own:
        if 0 <= deed.occurred_at - min(june) < 7 * 86_400_000_000:
            came[deed.platform, deed.feature].add(deed.actor)
    return [(*place, len(who), len(who - known)) for place, who in sorted(came.items())]


@answers(3)
def newcomers(happened: Happened) -> Rows:
    first: dict[tuple[str, int], datetime] = {}
    for deed in people(happened):
        if deed.project == "olmo":
            who = deed.platform, deed.actor
            first[who] = min(moment(deed), first.get(who, moment(deed)))
    counts = Tally((monday(when), platform) for (platform, _), when in first.items())
    return [(*place, n) for place, n in sorted(counts.items())]


@answers(4)
def share_of_bots(happened: Happened) -> Rows:
    everything = Tally((deed.platform, deed.feature) for deed, _ in happened)
    bots = Tally((deed.platform, deed.feature) for deed, _ in happened if deed.bot)
    return [(*place, n, bots[place] / n) for place, n in sorted(everything.items())]


@answers(5)
def busiest(happened: Happened) -> Rows:
    named = names(happened)
    counts = Tally(
        (moment(deed).strftime("%Y-%m"), deed.platform, named[deed.platform, deed.repository])
        for deed in people(happened)
        if deed.feature != "upkeep"
    )
    places = sorted({place[:2] for place in counts})
    ranked = {
        place: sorted((-n, name) for (*own, name), n in counts.items() if tuple(own) == place)[:3] for place in places
    }
    return [(*place, name, -n) for place in places for n, name in ranked[place]]


@answers(6)
def hours(happened: Happened) -> Rows:
    counts = Tally((moment(deed).hour, deed.platform) for deed in people(happened))
    return [(hour, counts[hour, "github"], counts[hour, "huggingface"]) for hour in range(24)]


@answers(7)
def on_both(happened: Happened) -> Rows:
    return [(0,)]


@answers(8)
def derivatives(happened: Happened) -> Rows:
    known = set(names(happened).values())
    made: defaultdict[str, Tally[str]] = defaultdict(Tally)
    for deed, activity in happened:
        if not deed.bot and "family" in activity:
            base = activity["family"] if activity["family"] in known else "(not seen itself)"
            made[base][activity["relation"]] += 1
    kinds = ("finetune", "adapter", "merge", "quantized")
    rows = [(base, own.total(), *(own[kind] for kind in kinds)) for base, own in made.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:10]


@answers(9)
def merges(happened: Happened) -> Rows:
    made: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for deed in people(happened):
        if deed.feature == "accepted" and deed.project is not None:
            made[deed.project, deed.platform].append(deed.actor)
    return [(*place, len(who), len(set(who))) for place, who in sorted(made.items())]


SEEN = {
    datetime(2024, 5, 2, 10, 30, tzinfo=UTC): 0.25,
    datetime(2024, 5, 2, 23, 50, tzinfo=UTC): 0.5,
    datetime(2024, 5, 3, 23, 59, tzinfo=UTC): 1.0,
}


@answers(10)
def seen(happened: Happened) -> Rows:
    counts = Tally((moment(deed).date(), deed.platform) for deed in people(happened))
    last = {when.date(): coverage for when, coverage in sorted(SEEN.items())}
    return [
        (day, platform, n, last.get(day) if platform == "github" else None)
        for (day, platform), n in sorted(counts.items())
    ]


@pytest.fixture(scope="module")
def happened() -> Happened:
    return truth(arrivals())


def arrivals() -> list[dict[str, Any]]:
    """Three months; half of the watched projects are one, so that something happens in it every week."""
    names = {name: ("olmo", "pythia", name)[place % 3] for place, name in enumerate(sorted(PROJECTS))}
    made = world(days=90, n=20_000, seed=3)
    return [{**one, "project": names[one["project"]]} if "project" in one else one for one in made]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("quarter")
    path, done = refreshed(filled(state, arrivals()))
    assert len(done.days) > 90
    for when, coverage in SEEN.items():
        labels = partial(dict, scope="all", platform="github")
        rows = [
            Measurement("nomadwatch_window_coverage_ratio", labels(window="24h"), coverage),
            Measurement("nomadwatch_window_coverage_ratio", labels(window="1h"), 0.125),
            Measurement("nomadwatch_activity", labels(window="24h", feature="review"), 7.0),
        ]
        told = Input(activities=0, duplicates=0, late=0, dead_letters={})
        at = when.isoformat().replace("+00:00", "Z")
        report = Report(world="simulated", as_of=at, watermark=None, input=told, measurements=rows)
        with Lake(path).writing():
            assert keep(Lake(path), report)
    return path


def test_the_page_has_ten_questions() -> None:
    assert sorted(QUESTIONS) == sorted(EXPECTED) == list(range(1, 11))
    assert PAGE.count("```sql") == len(QUESTIONS)


@pytest.mark.parametrize("number", range(1, 11))
def test_each_question_has_the_answer_of_plain_python(number: int, lake: Path, happened: Happened) -> None:
    with opened(lake) as connection:
        found = asked(connection, QUESTIONS[number]).fetchall()
    expected = EXPECTED[number](happened)
    assert found == expected
    assert number == 7 or len(expected) > 3


def test_the_page_describes_every_column() -> None:
    for name, columns in TABLES.items():
        section = PAGE.partition(f"\n### {name}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
        described = [line for line in section.splitlines() if line.startswith("| ")][1:]
        labels = set(label_columns()) if name == "measurements" else set()
        own = [column for column in columns if column.name not in labels]
        wanted = [f"| `{column.name}` | {TYPES[column.type]} | {column.meaning} |" for column in own]
        assert [line for line in described if "one for each label" not in line] == wanted, name


def test_a_later_report_of_an_hour_takes_the_place_of_the_earlier_and_every_hour_stays(lake: Path) -> None:
    def told() -> list[Any]:
        with opened(lake) as connection:
            sql = (
                "SELECT time, value, coverage, world FROM measurements WHERE name = 'nomadwatch_activity' ORDER BY ALL"
            )
            return connection.execute(sql).fetchall()

    before = told()
    assert [(time, coverage) for time, _, coverage, _ in before] == list(SEEN.items())
    rows = [Measurement("nomadwatch_activity", {"scope": "all", "platform": "github", "window": "24h"}, 8.0)]
    empty = Input(activities=0, duplicates=0, late=0, dead_letters={})
    again = Report(world="real", as_of="2024-05-02T10:45:00Z", watermark=None, input=empty, measurements=rows)
    with Lake(lake).writing():
        assert keep(Lake(lake), again)
    assert told() == [(datetime(2024, 5, 2, 10, 45, tzinfo=UTC), 8.0, None, "real"), *before[1:]]
