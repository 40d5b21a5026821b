"""A family of metrics is one file: here two are defined in a folder of their own, and found in the report of a replay,
in what Prometheus scrapes and in the documentation, without a change anywhere else.
"""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.metrics import FAMILIES
from streams.activity import DAY, HOUR, MINUTE, Activity
from tests.measure.making import NOW, activity

# Computed from the sums of a window.
PER_PERSON = '''
"""How much a person does."""

from agents.family import Family, measurement, row

ROWS = (
    row(
        "activities_per_developer", "scope platform feature window", "activities per person", "invalid", group="A",
        help="How much a person does.", formula="human activities in the window ÷ different people",
    ),
)


def of_window(window):
    from agents.operators.window import distinct

    for platform, feature, people in distinct(window.people[0]):
        labels = window.labels | {"platform": platform, "feature": feature}
        yield measurement("activities_per_developer", labels, window.humans[platform, feature] / people)


FAMILY = Family(25, ROWS, of_window=of_window)
'''

# With a state of its own: people by what they are to a repository cannot be told from the sums.
PARTICIPANTS = '''
"""Who takes part: different people by their affiliation."""

from collections import Counter

from agents.facts import BOT
from agents.family import Family, measurement, row
from streams.archive.activity_lines import AFFILIATIONS
from streams.codes import names_of
from streams.windows import WINDOWS

ROWS = (
    row(
        "participants", "platform feature affiliation window", "people", "invalid", group="D",
        help="How many different people took part, by what they are to the repository.",
        formula="different human actors of the window by affiliation",
    ),
)


class People:
    """Activities by code, affiliation and person, of one window."""

    watched = False

    def __init__(self, window):
        self.window, self.span, self._held = window, WINDOWS[window], Counter()

    def add(self, rows):
        self._change(rows, 1)

    def remove(self, rows):
        self._change(rows, -1)

    def _change(self, rows, sign):
        own = rows[rows["flags"] & BOT == 0]
        columns = (own[name].tolist() for name in ("code", "affiliation", "actor", "n"))
        for code, affiliation, actor, n in zip(*columns):
            place = code, affiliation, actor
            self._held[place] += sign * n
            if not self._held[place]:
                del self._held[place]

    def evaluate(self, front):
        people = Counter((code, affiliation) for code, affiliation, _ in self._held)
        for (code, affiliation), n in people.items():
            platform, feature = names_of(code)
            labels = {"platform": platform, "feature": feature, "window": self.window}
            yield measurement("participants", labels | {"affiliation": AFFILIATIONS[affiliation] or "unknown"}, n)


FAMILY = Family(
    75, ROWS, views=lambda: [People(window) for window in WINDOWS], labels={"affiliation": "what a person is to it."}
)
'''

# Reads a report, and prints what Prometheus would scrape of it.
SCRAPE = """
import sys
import msgspec
from prometheus_client import generate_latest
from agents.measurements import encode, series
from sinks.board import Board
from sinks.prometheus import BoardCollector, registry_of
from sinks.report import Report
from tests.sinks.made import evaluation_record
board = Board()
for row in msgspec.json.decode(sys.stdin.buffer.read(), type=Report).measurements:
    board.put(series(row.name, row.labels), encode(row))
board.put(*evaluation_record())
collector = BoardCollector(board)
sys.stdout.buffer.write(generate_latest(registry_of(collector)))
assert not collector.strangers, collector.strangers
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder for the path of Python, with two families."""
    folder = tmp_path / "own" / "agents" / "metrics"
    folder.mkdir(parents=True)
    (folder / "per_person.py").write_text(PER_PERSON)
    (folder / "participants.py").write_text(PARTICIPANTS)
    return tmp_path / "own"


def run(own: Path, *arguments: object, given: str = "") -> str:
    environment = {**os.environ, "PYTHONPATH": str(own)}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], input=given, env=environment, capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def acts() -> list[Activity]:
    """Some three days, of which rows enter and leave the shorter windows."""
    kinds = ["internal", "external", "staff", None]
    return [
        activity(
            number,
            NOW + number * 20 * MINUTE,
            actor=(number % 5 + 1) << 32,
            affiliation=kinds[number % 3 if number % 7 else 3],
            bot=number % 11 == 0,
        )
        for number in range(3 * 72)
    ]


def people(done: Sequence[Activity], since: int) -> dict[str, int]:
    found = defaultdict(set)
    for each in done:
        if each.occurred_at >= since and not each.bot:
            found[each.affiliation or "unknown"].add(each.actor)
    return {affiliation: len(actors) for affiliation, actors in found.items()}


def values(report: dict[str, Any], name: str, window: str, label: str, **labels: str) -> dict[str, float]:
    own = {**labels, "window": window, "platform": "github", "feature": "contribution"}.items()
    rows = [row for row in report["measurements"] if row["name"] == f"nomadwatch_{name}"]
    return {row["labels"][label]: row["value"] for row in rows if own <= row["labels"].items()}


def test_a_file_of_one_s_own_is_in_the_report_in_the_scrape_and_in_the_documentation(own: Path, tmp_path: Path) -> None:
    done = acts()
    (tmp_path / "three.activities.ndjson").write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in done))
    replay = ("-m", "nomadwatch", "replay", tmp_path / "three.activities.ndjson", "--report", "-")
    text = run(own, *replay)
    report = json.loads(text)
    end = done[-1].occurred_at
    begins = {"1h": end - end % MINUTE + MINUTE - HOUR, "24h": end - end % HOUR + HOUR - DAY, "30d": 0}
    for window, since in begins.items():
        expected = people(done, since)
        assert values(report, "participants", window, "affiliation") == expected, window
        human = [each for each in done if each.occurred_at >= since and not each.bot]
        mean = len(human) / len({each.actor for each in human})
        assert values(report, "activities_per_developer", window, "scope", scope="all") == {"all": mean}
    assert len(people(done, begins["1h"])) < len(people(done, 0)) == 4, "some have left the shorter window"
    scraped = run(own, "-c", SCRAPE, given=text)
    said = 'nomadwatch_participants{affiliation="staff",feature="contribution",platform="github",window="24h"}'
    assert said in scraped
    assert "# HELP nomadwatch_activities_per_developer How much a person does." in scraped
    documented = run(own, "-m", "agents.catalogue")
    assert "## D. Openness\n\n### nomadwatch_participants" in documented
    assert "| `affiliation` | what a person is to it. |" in documented
    places = [documented.index(f"### nomadwatch_{name}\n") for name in ("commits", "activities_per_developer")]
    assert places == sorted(places), "a family has its place in the order"
    without = run(tmp_path, *replay)
    assert json.loads(without)["measurements"] == [
        row
        for row in report["measurements"]
        if row["name"] not in ("nomadwatch_participants", "nomadwatch_activities_per_developer")
    ]


def test_another_copy_of_the_program_on_the_path_adds_no_families(own: Path) -> None:
    (own / "agents" / "__init__.py").touch()
    folder = own.parent / "behind"
    folder.mkdir()
    # In front it would be the program; the path of the program stands before it.
    count = "import sys; sys.path.append(sys.argv[1]); from agents.metrics import FAMILIES; print(len(FAMILIES))"
    assert run(folder, "-c", count, own) == f"{len(FAMILIES)}\n"


def test_who_reads_the_catalogue_alone_pays_for_no_numpy() -> None:
    told = run(Path(), "-c", "import sys, agents.catalogue; print('numpy' in sys.modules)")
    assert told == "False\n"


def test_the_families_have_an_order_each() -> None:
    orders = [family.order for family in FAMILIES]
    assert len(set(orders)) == len(orders)
    assert orders == sorted(orders)
