"""Roles as processes that are restarted when they die, and a task that kills them at random."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec

from agents.config import Config
from tests.chaos.crashing import Reading

ROOT = Path(__file__).parents[2]
# Points at which a count worker must die, or become a zombie, in each run. Each start is given one that is missing.
SURE = frozenset({"sending", "committing", "caching", "recovering", "stopping"})


class Process:
    """One role (`python -m MODULE …`), with its output in a file of the folder. `strikes` gives each start its seed and
    its chances to die.
    """

    def __init__(
        self, folder: Path, name: str, command: list[str], strikes: Callable[[str], list[str]] | None, *, once: bool
    ) -> None:
        self.name, self.once = name, once
        self._command, self._strikes = [sys.executable, "-m", *command], strikes
        self._log = folder / f"{name}.log"
        self.starts = 0
        self.start()

    def start(self) -> None:
        strikes = self._strikes(f"{self.name}/{self.starts}") if self._strikes else []
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*self._command, *strikes], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def finished(self) -> bool:
        return self.once and self._process.poll() == 0

    @property
    def stopped(self) -> bool:
        """Whether it is suspended by SIGSTOP."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        return self.alive and stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "T"

    def signal(self, number: int) -> bool:
        if not self.alive:
            return False
        os.kill(self._process.pid, number)
        return True

    def end(self) -> None:
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        self._process.wait()

    @property
    def text(self) -> str:
        return self._log.read_text(errors="replace")


class Fleet:
    """All roles of one run. `kills` counts what was done to them, by role and kind.

    A worker that still has to die at a given point is not killed before.
    """

    def __init__(
        self, folder: Path, config: Config, reading: Reading, chances: dict[str, float], random: Random
    ) -> None:
        self.folder, self.random = folder, random
        self.processes: list[Process] = []
        self.kills: dict[str, int] = {}
        self._chances = chances
        # By worker: the point at which it must die this time.
        self._sure: dict[str, str] = {}
        self._enough = Path(reading.enough)
        self._calm = False
        self._config = msgspec.json.encode(config).decode()
        for name in ("count", "count-2", "measure"):
            self.add_worker(name)
        reader = ["tests.chaos.crashing", "reader", msgspec.json.encode(reading).decode()]
        self._add("reader", reader, self._points, once=True)

    def add_worker(self, name: str) -> None:
        """Let a worker join. Its role is the part of its name before a hyphen."""
        strikes = self._points_of_count if name.startswith("count") else self._points
        self._add(name, ["tests.chaos.crashing", name.partition("-")[0], self._config], strikes)

    def _points(self, seed: str, sure: str = "") -> list[str]:
        """The arguments of a start: seed and chances to die; no chances once the fleet has calmed down."""
        chances = self._chances | ({sure: 1.0} if sure else {})
        return [seed] if self._calm else [seed, *(f"{point}={chance}" for point, chance in chances.items())]

    def _points_of_count(self, seed: str) -> list[str]:
        name = seed.partition("/")[0]
        # Workers that live at the same time die at different points.
        others = {point for worker, point in self._sure.items() if worker != name}
        missing = self.missing
        self._sure[name] = self.random.choice(sorted(missing - others or missing)) if missing else ""
        return self._points(seed, self._sure[name])

    def calm_down(self) -> None:
        """From now on give new processes no chance to die."""
        self._calm = True
        self._enough.touch()

    @property
    def deaths(self) -> int:
        """How often a process had to be restarted."""
        return sum(process.starts - 1 for process in self.processes)

    @property
    def woken(self) -> int:
        """How often a worker went on after it had been stopped for longer than its session: a zombie."""
        return sum(count for way, count in self.kills.items() if way.endswith(" woken"))

    @property
    def missing(self) -> frozenset[str]:
        """The points of SURE at which no worker has died yet."""
        return SURE - self.struck("count")

    def struck(self, role: str = "") -> set[str]:
        """The points at which processes of a role (or of any) have killed or stopped themselves so far."""
        texts = [process.text for process in self.processes if process.name.startswith(role)]
        return {point for point in self._chances for text in texts if f"strikes while {point}" in text}

    def _add(
        self, name: str, command: list[str], strikes: Callable[[str], list[str]] | None = None, *, once: bool = False
    ) -> None:
        self.processes.append(Process(self.folder, name, command, strikes, once=once))

    def add_broker(self, file: Path, port: int) -> None:
        """Add an embedded broker to the fleet, which kills and restarts it like the others."""
        self._add("broker", ["broker", str(file), "--port", str(port), "--housekeeping", "0.3"])

    async def watch(self) -> None:
        """Restart what died. Wake what was stopped, after its session has expired."""
        sleeping: dict[str, float] = {}
        loop = asyncio.get_running_loop()
        while True:
            for process in self.processes:
                if not process.alive and not process.finished:
                    process.start()
                if process.stopped:
                    if process.name not in sleeping:
                        sleeping[process.name] = loop.time()
                        self._count(process.name, "stopped")
                    elif loop.time() - sleeping[process.name] > 9 and process.signal(signal.SIGCONT):
                        self._count(process.name, "woken")
                        sleeping.pop(process.name)
                else:
                    sleeping.pop(process.name, None)
            await asyncio.sleep(0.1)

    async def harass(self, seconds: float, pause: float) -> None:
        """Kill a process now and then. One count worker in four gets SIGTERM instead, as at a deployment."""
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(self.random.uniform(0.3, 1.7) * pause)
            missing = self.missing
            if not missing:
                self._enough.touch()
            victim = self.random.choice(self.processes)
            # A stopped worker must wake after its session has expired: killed before, it would not be a zombie.
            if victim.stopped or self._sure.get(victim.name) in missing:
                continue
            polite = victim.name.startswith("count") and self.random.random() < 0.25
            if not victim.finished and victim.signal(signal.SIGTERM if polite else signal.SIGKILL):
                self._count(victim.name, "ended" if polite else "killed")

    def _count(self, name: str, way: str) -> None:
        self.kills[f"{name} {way}"] = self.kills.get(f"{name} {way}", 0) + 1

    def end(self) -> None:
        for process in self.processes:
            process.end()
