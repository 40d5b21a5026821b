"""Run replays through the real command line, and read what they leave in their state."""

import asyncio
import base64
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from nomadwatch.processes.embedded import embedded
from sinks.topic import TopicReader
from streams.bots import known
from tests.nomadwatch.commands import PROGRAM, command
from tests.nomadwatch.waiting import gone, until

# Data, not code, so the oracle may share it.
BOTS = known("github")
SECONDS_TO_END = 10.0


class Replayed(NamedTuple):
    """A report as it was written, and as it is read."""

    text: str
    report: dict[str, Any]

    @property
    def measurements(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.report["measurements"]
        return found

    @property
    def input(self) -> dict[str, Any]:
        found: dict[str, Any] = self.report["input"]
        return found


class Misread(NamedTuple):
    """A dead letter: the line (from 1) of a file that was not measured, why, and its bytes (None where they are not
    kept).
    """

    file: str
    line: int
    reason: str
    raw: bytes | None


def replayed(*arguments: object) -> Replayed:
    """A replay that must succeed, and print nothing but the line on what could not be measured."""
    done = command("replay", *arguments, "--report", "-")
    assert done.code == 0, f"exit code {done.code}: {done.complaint}"
    found = read(done.output)
    assert done.complaint == unread(found.input), done.complaint
    return found


def unread(stated: Mapping[str, Any]) -> str:
    """The lines on doubtful hours and dead letters that belong to an input."""
    letters = stated["dead_letters"]
    doubts = [
        f"{each['hour']} ({each['events']:,} instead of {each['usual']:,})" for each in stated.get("hour_doubtful", [])
    ]
    counts = ", ".join(f"{reason} {letters[reason]:,}" for reason in sorted(letters))
    said = [f"far fewer events than in the hours around it: {', '.join(doubts)}"] if doubts else []
    said += [f"some of the input could not be measured ({counts}); everything else was"] if letters else []
    return "".join(f"nomadwatch: {line}\n" for line in said)


def read(text: str) -> Replayed:
    return Replayed(text, json.loads(text))


def values(replay: Replayed, name: str, **labels: str) -> list[float]:
    """The values of the measurements with these labels and perhaps others."""
    wanted = labels.items()
    return [
        row["value"]
        for row in replay.measurements
        if row["name"] == f"nomadwatch_{name}" and wanted <= row["labels"].items()
    ]


def counted(stated: Mapping[str, Any]) -> dict[str, Any]:
    """A report's input without `late`, which the oracles do not know."""
    return {name: stated[name] for name in ("files", "activities", "duplicates", "dead_letters")}


def dead_letters(state: Path) -> list[Misread]:
    """What the topic dead-letters of a data folder holds, in the order of reading."""

    async def letters() -> list[Misread]:
        async with embedded(state) as address, TopicReader.open(address, "dead-letters") as reader:
            rows = [(key, json.loads(value or b"null")) for key, value in await reader.read_to_end()]
        assert all(key == row["file"].encode() and row["source"] == "archive" for key, row in rows)
        bytes_of = {number: base64.b64decode(row["raw"]) for number, (_, row) in enumerate(rows) if "raw" in row}
        return [
            Misread(row["file"], row["line"], row["reason"], bytes_of.get(number))
            for number, (_, row) in enumerate(rows)
        ]

    return asyncio.run(letters())


@contextmanager
def running(*arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """A replay in a session of its own, as under a terminal of its own. Afterwards none of its processes is left,
    whoever ended it.
    """
    options = [*PROGRAM, "replay", *map(str, arguments)]
    with subprocess.Popen(
        options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as main:
        try:
            yield main
        finally:
            if main.poll() is None:
                main.kill()
            main.communicate()
        asyncio.run(until(lambda: not members(main.pid), SECONDS_TO_END))


def written(session: int) -> int:
    """Bytes that its living processes have written to files, nearly all of them to the embedded broker's log."""
    total = 0
    for pid in members(session):
        with suppress(FileNotFoundError, ProcessLookupError):
            lines = Path(f"/proc/{pid}/io").read_text().splitlines()
            total += int(dict(line.split(": ") for line in lines)["wchar"])
    return total


def members(session: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            *_, own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(own) == session and not gone(pid):
            found.append(pid)
    return found


def called(name: str, session: int) -> int:
    """Wait for a process of the session with this name (as `ps` shows it)."""
    found: list[int] = []

    def look() -> bool:
        for pid in members(session):
            with suppress(FileNotFoundError, ProcessLookupError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    found.append(pid)
        return bool(found)

    asyncio.run(until(look))
    return found[0]


def idle(pid: int, looks: int = 30) -> None:
    """Wait until a process has used no processor time over `looks` looks: it is waiting."""
    seen: list[str] = []

    def waits() -> bool:
        seen.append(" ".join(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
        return len(seen) > looks and len(set(seen[-looks:])) == 1

    asyncio.run(until(waits))
