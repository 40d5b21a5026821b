"""The commands on the lake as a person runs them: on a replay that has ended, and on a station that runs."""

import asyncio
import csv
import json
import shutil
import signal
import subprocess
import time
from collections import Counter as Tally
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from agents.measure.snapshot import Snapshot
from agents.measure.store import Store
from agents.measurements import EVALUATION, Measurement, encode, series
from nomadwatch.processes.embedded import embedded
from nomadwatch.state import read_kept
from sinks.topic import TopicReader
from streams.activity import DAY
from streams.kafka.topics import Topics
from tests.lake.made import START, filled, truth, world
from tests.nomadwatch.commands import PROGRAM, command, generate, started

Arrivals = list[dict[str, Any]]


class Kept(NamedTuple):
    """A data folder with what was counted into it."""

    folder: Path
    arrivals: Arrivals


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    arrivals = world(n=3_000)
    return Kept(filled(tmp_path_factory.mktemp("kept"), arrivals), arrivals)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    generate(folder / "hours", 1_500)
    done = command("replay", folder / "hours", "--data-dir", folder / "state", "--report", folder / "report.json")
    assert done.code == 0, done
    return folder


def test_a_question_is_answered_as_a_table_csv_and_json(kept: Kept) -> None:
    people = Tally(deed.platform for deed, _ in truth(kept.arrivals) if not deed.bot)
    sql = "SELECT platform, count(*) AS n, NULL AS x FROM facts WHERE NOT bot GROUP BY ALL ORDER BY ALL"
    shown = command("query", sql, "--data-dir", kept.folder)
    assert [line.split() for line in shown.output.splitlines()] == [
        ["platform", "n", "x"],
        *([platform, str(n), "–"] for platform, n in sorted(people.items())),
    ]
    as_csv = command("query", sql, "--data-dir", kept.folder, "--format", "csv")
    assert as_csv.output.splitlines() == [
        "platform,n,x",
        *(f"{platform},{n}," for platform, n in sorted(people.items())),
    ]
    as_json = command("query", sql, "--data-dir", kept.folder, "--format", "json")
    assert [(row["platform"], row["n"], row["x"]) for row in json.loads(as_json.output)] == [
        (platform, n, None) for platform, n in sorted(people.items())
    ]
    assert (shown.code, as_csv.code, as_json.code) == (0, 0, 0)


def test_a_question_may_come_from_standard_input_and_its_answer_go_to_a_file(kept: Kept, tmp_path: Path) -> None:
    arguments = [*PROGRAM, "query", "-", "-o", str(tmp_path / "n.parquet"), "--data-dir", str(kept.folder)]
    subprocess.run(arguments, input="SELECT count(*) AS n FROM facts", text=True, check=True)
    assert duckdb.sql(f"SELECT n FROM '{tmp_path / 'n.parquet'}'").fetchall() == [(len(truth(kept.arrivals)),)]


def test_what_cannot_be_asked_is_one_line_and_wrong_usage(kept: Kept, tmp_path: Path) -> None:
    def complaint(*arguments: object) -> str:
        done = command(*arguments)
        assert (done.code, done.output) == (2, "")
        (line,) = done.complaint.splitlines()
        return line.removeprefix("nomadwatch: ")

    state = ("--data-dir", kept.folder)
    assert complaint("query", "SELECT * FROM fact", *state).startswith("there is no table fact; did you mean facts?")
    assert complaint("query", "DROP VIEW facts", *state).startswith("one SELECT is a question")
    assert "let the name end in" in complaint("query", "SELECT 1", "-o", tmp_path / "x.xlsx", *state)
    assert "name a file" in complaint("query", "SELECT 1", "--format", "parquet", *state)
    assert "it is a folder" in complaint("query", "SELECT 1", "--format", "csv", "-o", tmp_path, *state)
    assert "holds no facts" in complaint("query", "SELECT 1", "--data-dir", tmp_path)
    assert "there is no folder" in complaint("query", "SELECT 1", "--lake", tmp_path / "absent")
    assert "later than --from" in complaint("export", "--from", "2024-05-02", "--to", "2024-05-02", *state)
    assert "is not a time" in complaint("export", "--from", "May", *state)
    assert not list(tmp_path.iterdir())


def test_answers_go_on_in_a_file_that_is_written_to_and_end_with_their_reader(kept: Kept, tmp_path: Path) -> None:
    arguments = [*PROGRAM, "export", "--data-dir", str(kept.folder)]
    with (tmp_path / "log").open("w") as file:
        file.write("before\n")
        file.flush()
        subprocess.run(arguments, stdout=file, check=True)
    lines = (tmp_path / "log").read_text().splitlines()
    assert (lines[0], len(lines)) == ("before", len(truth(kept.arrivals)) + 2)
    head = subprocess.run(f"{' '.join(arguments)} | head -1", shell=True, capture_output=True, text=True, check=True)
    assert head.stdout.startswith("time,id,platform,")
    assert head.stderr == ""
    full = subprocess.run(f"{' '.join(arguments)} > /dev/full", shell=True, capture_output=True, text=True)
    assert full.returncode == 1
    assert full.stderr.startswith("nomadwatch: standard output cannot be written (No space left on device)")
    assert full.stderr.count("\n") == 1


ENDLESS = "SELECT count(*) FROM facts AS a, facts AS b, facts AS c, facts AS d WHERE a.id % 7 = b.actor % 11"


@pytest.mark.parametrize("target", [None, "x.csv"])
def test_ctrl_c_ends_a_question_that_would_not_end_and_leaves_nothing(
    target: str | None, kept: Kept, tmp_path: Path
) -> None:
    command("query", "SELECT 1", "--data-dir", kept.folder)
    more = [] if target is None else ["-o", str(tmp_path / target)]
    asking = started("query", ENDLESS, "--data-dir", kept.folder, *more)
    # It has come as far as it will when it uses its time for nothing else.
    while asking.poll() is None and _cpu_seconds(asking.pid) < 2.0:
        time.sleep(0.05)
    asking.send_signal(signal.SIGINT)
    output, complaint = asking.communicate(timeout=30)
    assert (asking.returncode, output, complaint) == (1, "", "nomadwatch: interrupted\n")
    assert not list(tmp_path.iterdir())


def _cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100


def test_an_export_has_what_happened_within_its_dates_and_nothing_else(kept: Kept, tmp_path: Path) -> None:
    begin, end = START + DAY, START + 3 * DAY
    within = [deed for deed, _ in truth(kept.arrivals) if begin <= deed.occurred_at < end]
    span = ("--from", "2024-05-02", "--to", "2024-05-04T00:00:00Z", "--data-dir", kept.folder)
    assert command("export", *span, "-o", tmp_path / "facts.csv").code == 0
    with (tmp_path / "facts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert Tally(
        (int(row["repository"]), int(row["actor"]), row["feature"], row["project"] or None) for row in rows
    ) == Tally((deed.repository, deed.actor, deed.feature, deed.project) for deed in within)
    assert {row["time"][:10] for row in rows} == {"2024-05-02", "2024-05-03"}
    assert sum(row["name"] != "" for row in rows) > len(rows) // 2
    assert command("export", *span, "-o", tmp_path / "facts.parquet").code == 0
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path / 'facts.parquet'}'").fetchall() == [(len(within),)]
    assert command("export", *span, "--table", "releases", "-o", tmp_path / "r.json").code == 0
    released = [deed for deed in within if deed.feature == "publication"]
    assert len(json.loads((tmp_path / "r.json").read_text())) == len(released)


def test_a_lake_that_was_copied_is_read_as_it_is(kept: Kept, tmp_path: Path) -> None:
    command("query", "SELECT 1", "--data-dir", kept.folder)
    shutil.copytree(kept.folder / "lake", tmp_path / "lake")
    before = sorted(tmp_path.rglob("*"))
    done = command("query", "SELECT count(*) FROM facts", "--lake", tmp_path / "lake", "--format", "csv")
    assert done.output.splitlines()[1] == str(len(truth(kept.arrivals)))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_replay_leaves_a_lake_with_what_its_report_says(replayed: Path) -> None:
    report = json.loads((replayed / "report.json").read_text())
    sql = 'SELECT name, value, coverage, scope, platform, feature, "window", world FROM measurements'
    shown = json.loads(command("query", sql, "--data-dir", replayed / "state", "--format", "json").output)
    assert Tally((row["name"], row["value"]) for row in shown) == Tally(
        (row["name"], row["value"]) for row in report["measurements"]
    )
    assert {row["world"] for row in shown} == {"simulated"}
    assert {row["coverage"] is None for row in shown if row["name"] == "nomadwatch_activity"} == {False}
    (as_of,) = {row["time"] for row in json.loads(
        command("query", "SELECT time FROM measurements", "--data-dir", replayed / "state", "--format", "json").output
    )}  # fmt: skip
    assert as_of == report["as_of"]


def test_the_figures_of_a_replay_are_counted_again_and_agree(replayed: Path) -> None:
    done = command("verify", "--data-dir", replayed / "state", "--format", "json")
    assert (done.code, done.complaint) == (0, "")
    found = json.loads(done.output)
    report = json.loads((replayed / "report.json").read_text())
    assert found["differences"] == []
    assert found["agreed"] == Tally(
        row["name"] for row in report["measurements"] if row["name"] != "nomadwatch_window_coverage_ratio"
    )
    assert [row["why"] for row in found["unknown"]] == ["what the feeds covered stands in no row"]
    shown = command("verify", "--data-dir", replayed / "state")
    assert "figures agree with the rows of the lake" in shown.output


async def _falsify(folder: Path, name: str) -> Measurement:
    """Publish one more of a figure than was measured, as an evaluation would."""
    board = read_kept(folder)
    assert board is not None
    topic = Topics(prefix=board.prefix, partitions=board.partitions).measurements
    async with embedded(folder) as address:
        async with TopicReader.open(address, topic) as reader:
            records = dict(await reader.read_to_end())
        value = next(value for value in records.values() if value and b'"name":"' + name.encode() + b'"' in value)
        row = msgspec.json.decode(value, type=Measurement)
        false = msgspec.structs.replace(row, value=row.value + 1)
        producer = AIOKafkaProducer(bootstrap_servers=address)
        await producer.start()
        await producer.send_and_wait(topic, encode(false), series(false.name, false.labels), partition=0)
        await producer.send_and_wait(topic, records[EVALUATION], EVALUATION, partition=0)
        await producer.stop()
    return row


def test_a_figure_that_is_falsified_is_found(replayed: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    shutil.copytree(replayed / "state", state)
    false = asyncio.run(_falsify(state, "nomadwatch_active_developers"))
    done = command("verify", "--data-dir", state)
    assert done.code == 1
    line, last = done.complaint.splitlines()
    assert line == (
        f"nomadwatch: {series(false.name, false.labels).decode()}: "
        f"the board shows {false.value + 1:g}, the rows say {false.value:g}"
    )
    assert last == "nomadwatch: 1 figures differ from what the rows say"


def test_rows_that_are_lost_are_found_and_damaged_files_are_told_and_written_again(
    replayed: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    shutil.copytree(replayed / "state", state)
    largest = max((state / "lake" / "facts").rglob("*.parquet"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 255
    largest.write_bytes(bytes(data))
    done = command("verify", "--data-dir", state)
    assert done.code == 0
    assert done.complaint == f"nomadwatch: {largest} was damaged, and is written anew\n"
    with Store(state / "measure" / "facts.sqlite") as store:
        (hour,) = [hour for hour, n in store.hours().items() if n == max(store.hours().values())]
        store._db.execute("DELETE FROM rows WHERE hour = ?", (hour // 3_600_000_000,))
    shutil.rmtree(state / "lake")
    done = command("verify", "--data-dir", state)
    assert done.code == 1
    assert "figures differ from what the rows say" in done.complaint


def test_a_backup_can_be_used_in_place_of_the_folder_and_has_the_key_only_if_asked(
    replayed: Path, tmp_path: Path
) -> None:
    state = replayed / "state"
    done = command("backup", tmp_path / "copy", "--data-dir", state)
    assert (done.code, done.complaint.count("\n")) == (0, 1)
    assert "actor.key) is not in the backup" in done.complaint
    with Snapshot(state / "measure" / "facts.sqlite") as store:
        rows = sum(store.hours().values())
    assert done.output == f"{rows:,} rows are in {tmp_path / 'copy'}, and were checked\n"
    assert not (tmp_path / "copy" / "actor.key").exists()
    assert command("verify", "--data-dir", tmp_path / "copy").code == 0
    assert (
        command("report", "--data-dir", tmp_path / "copy", "--format", "json").output
        == command("report", "--data-dir", state, "--format", "json").output
    )
    again = command("backup", tmp_path / "copy", "--data-dir", state)
    assert (again.code, "it exists" in again.complaint) == (2, True)
    assert command("backup", tmp_path / "with-key", "--data-dir", state, "--with-key").complaint == ""
    assert (tmp_path / "with-key" / "actor.key").read_bytes() == (state / "actor.key").read_bytes()
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "with-key").rglob("*"))
