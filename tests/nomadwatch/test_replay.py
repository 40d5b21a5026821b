"""The whole replay as real processes: its report, its ends, and what it leaves behind."""

import asyncio
import csv
import json
import os
import pty
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient

from nomadwatch.errors import Failure
from nomadwatch.processes.replay import ReplayRequest, replay
from nomadwatch.settings import Settings
from nomadwatch.state import State
from nomadwatch.terminal.progress import Quiet
from sinks.board import SIMULATED
from sinks.compare import differences
from tests.nomadwatch.commands import PROGRAM, command, generate, started
from tests.nomadwatch.waiting import children_of, gone, roles_of, until
from tests.streams.made import event, pushes, write

# Nobody listens there.
NOWHERE = "http://127.0.0.1:9"


class Hour:
    """A generated hour and its truth."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.truth = generate(folder, 3000)

    def agrees(self, report: str) -> bool:
        assert list(differences(json.loads(report), self.truth)) == []
        return True


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Hour:
    return Hour(tmp_path_factory.mktemp("hour"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_a_replay_of_nothing_fails_with_a_valid_report_and_leaves_nothing_else(tmp_path: Path, temporary: Path) -> None:
    (tmp_path / "2015-01-01-15.json").touch()
    done = command("replay", tmp_path / "2015-01-01-15.json", "--report", "-")
    assert (done.code, done.complaint) == (
        1,
        "nomadwatch: nothing could be read (unreadable 1): 2015-01-01-15.json is empty\n",
    )
    report = json.loads(done.output)
    assert report["input"]["files"] == 1
    assert report["input"]["activities"] == 0
    assert all("activity" not in each["name"] for each in report["measurements"])
    assert list(temporary.iterdir()) == []


def test_the_report_of_a_generated_hour_equals_its_truth_as_json_and_as_table(hour: Hour, tmp_path: Path) -> None:
    done = command("replay", hour.folder, "--report", tmp_path / "report.json", "--data-dir", tmp_path / "state")
    assert done == (0, "", "")
    assert hour.agrees((tmp_path / "report.json").read_text())
    assert sorted(os.listdir(tmp_path)) == ["report.json", "state"]
    again = command("report", "--format", "json", "--data-dir", tmp_path / "state")
    assert again == (0, (tmp_path / "report.json").read_text(), "")
    table = command("report", "--data-dir", tmp_path / "state")
    assert table.code == 0
    assert f"{hour.truth['input']['activities']:,} activities from 2 files" in table.output
    assert command("report", "--format", "csv", "--data-dir", tmp_path / "state").output.startswith("name,")


def test_a_replay_of_real_and_simulated_input_is_simulated_in_every_form(hour: Hour, tmp_path: Path) -> None:
    real = event() | {"created_at": "2024-05-01T12:30:00Z", "id": "998"}
    (tmp_path / "2024-05-01-12.json").write_text(json.dumps(real) + "\n")
    worlds = {}
    for name, paths in {
        "real": [tmp_path / "2024-05-01-12.json"],
        "mixed": [tmp_path / "2024-05-01-12.json", hour.folder],
    }.items():
        state = tmp_path / name
        done = command("replay", *paths, "--data-dir", state, "--report", tmp_path / f"{name}.csv")
        assert done.code == 0, done.complaint  # A busy machine may make it say that something is slow.
        rows = list(csv.DictReader((tmp_path / f"{name}.csv").read_text().splitlines()))
        again = json.loads(command("report", "--format", "json", "--data-dir", state).output)
        table = command("report", "--data-dir", state).output
        worlds[name] = {row["world"] for row in rows}, again["world"], SIMULATED in table
    assert worlds == {"real": ({"real"}, "real", False), "mixed": ({"simulated"}, "simulated", True)}


def test_the_activities_of_a_simulated_world_are_simulated_wherever_they_are_read_again(
    hour: Hour, tmp_path: Path
) -> None:
    assert (
        command("replay", hour.folder, "--data-dir", tmp_path / "state", "--report", tmp_path / "first.json").code == 0
    )
    copy = tmp_path / "elsewhere" / "copy.activities.ndjson"
    copy.parent.mkdir()
    assert command("activities", "--data-dir", tmp_path / "state", "-o", copy).code == 0
    again = command("replay", copy, "--report", "-")
    assert json.loads(again.output)["world"] == "simulated"


def test_the_watchlist_beside_the_files_is_taken_up_unless_another_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "2024-05-01-12.json").write_text(json.dumps(event() | {"created_at": "2024-05-01T12:30:00Z"}) + "\n")
    own = tmp_path / "watchlist.yaml"
    own.write_text("- project: own\n  github: [allenai]\n")
    other = tmp_path / "other.yaml"
    other.write_text("- project: other\n  github: [allenai]\n")

    def projects(*arguments: object) -> set[str]:
        report = json.loads(command("replay", *arguments, "--report", "-").output)
        return {row["labels"]["project"] for row in report["measurements"] if "project" in row["labels"]}

    assert projects(tmp_path) == projects(tmp_path / "2024-05-01-12.json") == projects(f"{tmp_path}/*.json") == {"own"}
    assert projects(tmp_path, "--watchlist", other) == {"other"}
    own.unlink()
    assert projects(tmp_path) == {"olmo"}, "the default one"


def test_without_a_target_the_report_is_a_table(hour: Hour) -> None:
    done = command("replay", hour.folder)
    assert (done.code, done.complaint) == (0, "")
    assert "Intensity, 1h" in done.output, "the longest window that an hour covers"


def test_killed_roles_are_started_again_and_the_report_is_the_same(hour: Hour, tmp_path: Path) -> None:
    with started("replay", hour.folder, "--report", "-", "--data-dir", tmp_path) as main:
        asyncio.run(until(lambda: len(roles_of(main.pid)) >= 3))
        for role in roles_of(main.pid):
            with suppress(ProcessLookupError):  # the reader may just have ended
                os.kill(role, signal.SIGKILL)
        output, complaint = main.communicate(timeout=90)
    assert main.returncode == 0
    assert hour.agrees(output)
    assert complaint.count("was ended by SIGKILL; starting it again in 0.1 s") >= 2
    assert all(line.startswith("nomadwatch: ") for line in complaint.splitlines())


def test_a_killed_replay_leaves_no_process_and_goes_on_when_repeated(hour: Hour, tmp_path: Path) -> None:
    arguments = ("replay", hour.folder, "--report", "-", "--data-dir", tmp_path)
    for roles in (1, 2, 3):
        with started(*arguments) as main:
            asyncio.run(until(lambda main=main, roles=roles: len(roles_of(main.pid)) >= roles))  # type: ignore[misc]
            family = [*children_of(main.pid), *roles_of(main.pid)]
            main.kill()
            main.communicate()
        asyncio.run(until(lambda family=family: all(gone(pid) for pid in family)))  # type: ignore[misc]
    done = command(*arguments)
    assert done.code == 0
    assert hour.agrees(done.output)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_replay_ends_with_one_line_and_goes_on_when_repeated(
    number: signal.Signals, hour: Hour, tmp_path: Path
) -> None:
    arguments = ("replay", hour.folder, "--report", "-", "--data-dir", tmp_path)
    with started(*arguments) as main:
        asyncio.run(until(lambda: len(roles_of(main.pid)) >= 2))
        family = [*children_of(main.pid), *roles_of(main.pid)]
        main.send_signal(number)
        output, complaint = main.communicate(timeout=10)
    assert (main.returncode, output) == (1, "")
    assert complaint == f"nomadwatch: interrupted; the same command resumes with the state in {tmp_path}\n"
    asyncio.run(until(lambda: all(gone(pid) for pid in family)))
    done = command(*arguments)
    assert done.code == 0
    assert hour.agrees(done.output)


def test_an_interrupted_replay_without_a_folder_leaves_nothing(hour: Hour, temporary: Path) -> None:
    with started("replay", hour.folder) as main:
        asyncio.run(until(lambda: len(roles_of(main.pid)) >= 2))
        main.send_signal(signal.SIGINT)
        _, complaint = main.communicate(timeout=10)
    assert main.returncode == 1
    assert (
        complaint == "nomadwatch: interrupted, and nothing is kept; with --data-dir DIR the same command could resume\n"
    )
    assert list(temporary.iterdir()) == []


def test_mixed_identities_are_exit_code_2(tmp_path: Path) -> None:
    minimised = {"id": "1", "dt": "2015-01-01T15:00:01Z", "repo": "a/b", "type": "watch", "actor": "c"}
    full = {
        "id": "2",
        "type": "WatchEvent",
        "created_at": "2015-01-01T15:00:01Z",
        "actor": {"id": 1, "login": "c"},
        "repo": {"id": 2, "name": "a/b"},
        "payload": {"action": "started"},
    }
    for name, line in (("2015-01-01-15", minimised), ("2015-01-01-16", full)):
        (tmp_path / f"{name}.json").write_text(json.dumps(line) + "\n")
    done = command("replay", tmp_path)
    assert done.code == 2
    assert "cannot be measured together" in done.complaint
    assert done.complaint.count("\n") == 1


def test_a_bad_watchlist_is_exit_code_2_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "2015-01-01-15.json").touch()
    (tmp_path / "watchlist.yaml").write_text("- project: [\n")
    done = command("replay", tmp_path, "--watchlist", tmp_path / "watchlist.yaml")
    assert done.code == 2
    assert f"{tmp_path / 'watchlist.yaml'}:" in done.complaint
    assert done.complaint.count("\n") == 1


def test_a_folder_that_was_begun_otherwise_is_refused(hour: Hour, tmp_path: Path) -> None:
    (tmp_path / "2015-01-01-15.json").write_text(json.dumps(event(created_at="2015-01-01T15:00:00Z")))
    state = tmp_path / "state"
    assert command("replay", tmp_path / "2015-01-01-15.json", "--report", "-", "--data-dir", state).code == 0
    done = command("replay", tmp_path / "2015-01-01-15.json", "--data-dir", state, "--partitions", 3)
    assert (done.code, done.complaint) == (
        2,
        f"nomadwatch: {state} was started with partitions 8; use the same, or another --data-dir\n",
    )
    done = command("replay", hour.folder, "--data-dir", state)
    assert done.code == 2
    assert "holds a reading of other files" in done.complaint


def test_a_replay_s_folder_is_refused_to_a_station(tmp_path: Path) -> None:
    (tmp_path / "2015-01-01-15.json").write_text(json.dumps(event(created_at="2015-01-01T15:00:00Z")))
    state = tmp_path / "state"
    assert command("replay", tmp_path / "2015-01-01-15.json", "--report", "-", "--data-dir", state).code == 0
    before = (state / "state.json").read_text()
    done = command("up", "--port", 0, "--data-dir", state)
    assert done == (2, "", f"nomadwatch: {state} holds the state of a replay; name another --data-dir\n")
    assert (state / "state.json").read_text() == before


@pytest.mark.parametrize(
    ("begun", "kind", "other"), [("up", "live station", "replay"), ("demo", "demonstration", "up")]
)
def test_a_station_s_folder_is_refused_to_what_is_none_of_it(begun: str, kind: str, other: str, tmp_path: Path) -> None:
    (tmp_path / "2015-01-01-15.json").touch()
    state = tmp_path / "state"
    with started(begun, "--port", 0, "--data-dir", state) as main:
        asyncio.run(until(lambda: (state / "state.json").exists()))
        main.kill()
        main.communicate()
    paths = [tmp_path / "2015-01-01-15.json"] if other == "replay" else ["--port", 0]
    done = command(other, *paths, "--data-dir", state)
    assert done == (2, "", f"nomadwatch: {state} holds the state of a {kind}; name another --data-dir\n")


class Filling(State):
    """A folder on a disk that is found full once something has been written to it."""

    def room(self) -> int:
        assert self.kept is not None or not (self.path / "broker.db").exists()
        return 0 if (self.path / "broker.db").exists() else 1 << 40


def test_a_disk_that_fills_up_ends_the_replay_and_the_folder_goes_on_later(
    hour: Hour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, settings = ReplayRequest(paths=(str(hour.folder),)), Settings(data_dir=str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("nomadwatch.processes.replay.State", Filling)
        patch.setattr("nomadwatch.processes.replay.ROOM_EVERY", 0.01)
        with pytest.raises(
            Failure,
            match=f"^the disk is full under {tmp_path}; free some space, or choose a --data-dir with more, and run",
        ):
            replay(request, settings, Quiet())
    done = command("replay", hour.folder, "--data-dir", tmp_path, "--report", "-")
    assert done.code == 0
    assert hour.agrees(done.output)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """The address of a broker of its own, as `nomadwatch broker` prints it."""
    with started("broker", "--port", 0, "--data-dir", tmp_path / "broker") as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=10)
        assert (process.returncode, complaint) == (0, "")


def test_a_replay_on_a_broker_of_others_leaves_no_topics_there(hour: Hour, broker: str, tmp_path: Path) -> None:
    done = command("replay", hour.folder, "--broker", broker, "--report", "-")
    assert (done.code, done.complaint) == (0, "")
    assert hour.agrees(done.output)
    admin = KafkaAdminClient(bootstrap_servers=broker)
    assert [topic for topic in admin.list_topics() if "replay" in topic] == []
    admin.close()


def test_a_replay_on_a_broker_of_others_with_a_folder_finds_its_topics_again(
    hour: Hour, broker: str, tmp_path: Path
) -> None:
    arguments = ("replay", hour.folder, "--broker", broker, "--report", "-", "--data-dir", tmp_path / "state")
    first, again = command(*arguments), command(*arguments)
    assert first.code == 0
    assert first == again
    assert command("report", "--format", "json", "--data-dir", tmp_path / "state").output == first.output


def test_a_broker_that_dies_and_comes_back_is_waited_for(hour: Hour, tmp_path: Path) -> None:
    serving = ("broker", "--data-dir", tmp_path / "broker", "--port")
    with started(*serving, 0) as first:
        assert first.stdout is not None
        address = first.stdout.readline().strip()
        main = started("replay", hour.folder, "--broker", address, "--report", "-")
        asyncio.run(until(lambda: len(roles_of(main.pid)) >= 2))
        first.kill()
    with started(*serving, address.rpartition(":")[2]) as second:
        output, _ = main.communicate(timeout=90)
        second.terminate()
        second.communicate(timeout=10)
    assert main.returncode == 0
    assert hour.agrees(output)


def test_a_person_at_a_terminal_sees_a_bar(hour: Hour, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    report = tmp_path / "report.json"
    with subprocess.Popen([*PROGRAM, "replay", str(hour.folder), "--report", str(report)], stderr=theirs) as main:
        os.close(theirs)
        seen = b""
        with suppress(OSError):  # the other end is closed
            while part := os.read(ours, 65536):
                seen += part
    os.close(ours)
    assert main.returncode == 0
    assert hour.agrees(report.read_text())
    assert b"activities, " in seen
    assert b"measuring" in seen


def test_topics_are_made_checked_and_refused_with_other_partitions(broker: str) -> None:
    missing = command("topics", "check", "--broker", broker)
    assert missing.code == 1
    assert "topic activity is missing: run `nomadwatch topics create`\n" in missing.output
    assert command("topics", "create", "--broker", broker, "--partitions", 2).output.startswith(
        "created activity, facts, "
    )
    assert command("topics", "check", "--broker", broker, "--partitions", 2).code == 0
    assert command("topics", "lag", "--broker", broker, "--partitions", 2).output.endswith("total: 0 records\n")
    for arguments in (["topics", "create"], ["count"], ["measure"]):
        done = command(*arguments, "--broker", broker, "--partitions", 3)
        assert done.code == 1
        assert done.complaint.startswith("nomadwatch: topic activity has 2 partitions, not 3: ")
        assert done.complaint.count("\n") == 1


def test_a_taken_port_is_exit_code_1(broker: str, tmp_path: Path) -> None:
    port = broker.rpartition(":")[2]
    done = command("broker", "--port", port, "--data-dir", tmp_path / "other")
    assert done.code == 1
    assert done.complaint.startswith(f"nomadwatch: port {port} of 127.0.0.1 is in use: choose another with --port")


def test_workers_of_their_own_end_politely(broker: str, tmp_path: Path) -> None:
    assert command("topics", "create", "--broker", broker).code == 0
    for role, begun in (("count", "owns partitions"), ("measure", "has read")):
        with started(role, "--broker", broker, "--data-dir", tmp_path / role, "--verbose") as worker:
            assert worker.stderr is not None
            asyncio.run(until(lambda stream=worker.stderr, begun=begun: begun in stream.readline()))  # type: ignore[misc]
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=10)
        assert worker.returncode == 0


def test_the_doctor_finds_this_machine_well_and_names_what_is_wrong(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOMADWATCH_ACTOR_KEY", "hush-hush-hush-hush")
    monkeypatch.setenv("NOMADWATCH_GITHUB_API", NOWHERE)
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    well: Any = command("doctor", "--broker", broker, "--data-dir", tmp_path / "new")
    assert (well.code, well.complaint) == (0, "")
    assert f"a Kafka broker answers at {broker}" in well.output
    assert "hush" not in well.output
    (tmp_path / "file").touch()
    ill = command("doctor", "--data-dir", tmp_path / "file" / "inside")
    assert ill.code == 1
    assert " bad  the data folder" in ill.output


def test_everything_in_a_data_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    write(tmp_path / "2024-05-01-10.json.gz", pushes(50))
    before = os.umask(0o022)
    try:
        done = command(
            "replay", tmp_path / "2024-05-01-10.json.gz", "--data-dir", state, "--report", tmp_path / "report.json"
        )
    finally:
        os.umask(before)
    assert (done.code, done.complaint) == (0, "")
    found = [state, *state.rglob("*")]
    assert {path.name for path in found} >= {"broker.db", "actor.key", "state.json", "lock"}
    assert [path for path in found if path.stat().st_mode & 0o077] == []
    assert (tmp_path / "report.json").stat().st_mode & 0o777 == 0o644, "a report is as any other file"


def test_a_short_actor_key_ends_a_command_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "2024-05-01-10.json.gz", pushes(5))
    monkeypatch.setenv("NOMADWATCH_ACTOR_KEY", "hush")
    done = command("replay", tmp_path / "2024-05-01-10.json.gz")
    assert done.code == 2
    assert "shorter than 16 bytes" in done.complaint
    assert "hush" not in done.complaint
