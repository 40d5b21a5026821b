"""A station in a process of its own, as tests see it from outside."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
# What reading of a process under /proc raises that has ended in between: before and after it was opened.
_REAPED = (FileNotFoundError, ProcessLookupError)


class Station:
    """A station in a process of its own."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "nomadwatch", *arguments]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if not found:
            self.process.kill()
            raise AssertionError((line, self.process.communicate()))
        self.url = found[0]

    def ask(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def await_metric(self, pattern: str) -> None:
        """Until a line of /metrics fits; who serves it may have died and come back meanwhile."""
        deadline = time.monotonic() + PATIENCE
        text = ""
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the station has ended"
            with suppress(OSError):
                text = self.ask("/metrics")
                if re.search(pattern, text, re.MULTILINE):
                    return
            time.sleep(0.2)
        raise AssertionError(f"no line fits {pattern} in\n{text[:3000]}")

    def metric(self, pattern: str) -> float | None:
        """The number in the first line of /metrics that fits."""
        found = re.search(pattern, self.ask("/metrics"), re.MULTILINE)
        return float(found[1]) if found else None

    def roles(self) -> dict[str, int]:
        """The processes of the roles, by name."""
        found = {}
        for pid in _descendants(self.process.pid):
            with suppress(*_REAPED):
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                if name.startswith("nw-"):
                    found[name.removeprefix("nw-")] = pid
        return found

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        self.out, self.err = self.process.communicate(timeout=30)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _children(pid: int) -> list[int]:
    """Those that there are now; a process that ends meanwhile has none."""
    found: list[int] = []
    with suppress(*_REAPED):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(*_REAPED):
                found += map(int, (task / "children").read_text().split())
    return found


def spoken(station: Station) -> float:
    """When the pollers spoke last, in seconds since 1970; 0.0 while nobody knows."""
    with suppress(OSError):
        text = json.loads(station.ask("/healthz"))["roles"].get("streams")
        return datetime.fromisoformat(text).timestamp() if text else 0.0
    return 0.0


def gone(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
