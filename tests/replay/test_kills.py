"""However a replay is ended: no process is left, and the same command goes on to the same report."""

import asyncio
import os
import signal
from pathlib import Path
from random import Random

import pytest

from tests.nomadwatch.waiting import gone, until
from tests.replay.conftest import World
from tests.replay.running import called, idle, replayed, running, written

KILLS = 10
# A whole replay has as long.
SECONDS = 90.0
# A whole replay of the world writes more than twice as much (44 MB; the activities are packed).
MOST_WRITTEN = 18_000_000


def test_killed_again_and_again_it_ends_with_the_report_of_an_undisturbed_one(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOMADWATCH_COUNT_CHECKPOINT_INTERVAL", "0.05")
    random = Random(5)
    kills = rounds = 0
    state, report = tmp_path / "0", tmp_path / "report.json"
    while kills < KILLS:
        # The place in the work is drawn, not the time: most of the time is spent starting.
        enough = random.uniform(0, MOST_WRITTEN)
        with running(world.folder, "--data-dir", state, "--report", report) as main:
            asyncio.run(
                until(lambda main=main, enough=enough: written(main.pid) > enough or main.poll() is not None, SECONDS)
            )  # type: ignore[misc]
            if main.poll() is None:
                kills += 1
                # All processes at once, or only the main one: then the others must notice.
                if kills % 2:
                    os.killpg(main.pid, signal.SIGKILL)
                else:
                    main.kill()
                continue
        # It finished first: its report is compared, and the killing goes on with a new replay.
        assert main.returncode == 0
        assert report.read_text() == world.undisturbed.text
        rounds += 1
        state = tmp_path / str(rounds)
    assert replayed(world.folder, "--data-dir", state).text == world.undisturbed.text
    assert replayed(world.folder, "--data-dir", state).text == world.undisturbed.text, "asked again, it says the same"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_with_one_line_and_goes_on_to_the_same_report(
    number: signal.Signals, world: World, tmp_path: Path
) -> None:
    with running(world.folder, "--data-dir", tmp_path, "--report", "-") as main:
        asyncio.run(until(lambda: written(main.pid) > 5_000_000, SECONDS))
        if number == signal.SIGINT:
            os.killpg(main.pid, number)  # Ctrl-C reaches every process of the terminal
        else:
            main.send_signal(number)
        output, complaint = main.communicate(timeout=10)
    assert (main.returncode, output) == (1, "")
    assert complaint == f"nomadwatch: interrupted; the same command resumes with the state in {tmp_path}\n"
    assert replayed(world.folder, "--data-dir", tmp_path).text == world.undisturbed.text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_reader_that_is_ended_while_it_waits_for_the_topics_is_started_again(
    number: signal.Signals, world: World, tmp_path: Path
) -> None:
    with running(world.folder, "--data-dir", tmp_path / "state", "--report", tmp_path / "report.json") as main:
        broker = called("nw-broker", main.pid)
        os.kill(broker, signal.SIGSTOP)  # like a busy disk: no topic is created meanwhile
        for _ in range(2):
            reader = called("nw-streams", main.pid)
            idle(reader)
            os.kill(reader, number)
            asyncio.run(until(lambda reader=reader: gone(reader)))  # type: ignore[misc]
        os.kill(broker, signal.SIGCONT)
        _, complaint = main.communicate(timeout=SECONDS)
    assert main.returncode == 0, complaint
    assert (tmp_path / "report.json").read_text() == world.undisturbed.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted_after_its_reader_was_killed_while_waiting(
    number: signal.Signals, world: World, tmp_path: Path
) -> None:
    with running(world.folder, "--data-dir", tmp_path, "--report", "-") as main:
        broker = called("nw-broker", main.pid)
        os.kill(broker, signal.SIGSTOP)
        reader = called("nw-streams", main.pid)
        idle(reader)
        os.kill(reader, signal.SIGKILL)
        asyncio.run(until(lambda: gone(reader)))
        main.send_signal(number)
        output, complaint = main.communicate(timeout=SECONDS)
    assert (main.returncode, output) == (1, "")
    assert f"nomadwatch: interrupted; the same command resumes with the state in {tmp_path}\n" in complaint
