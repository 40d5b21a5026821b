"""Roles as processes that are started again whenever they die, and somebody who kills them."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import msgspec

from agents.config import Config
from tests.chaos.crashing import Reading

ROOT = Path(__file__).parents[2]


class Process:
    """One role; `python -m MODULE …`, its output in a file of the folder."""

    def __init__(self, folder: Path, name: str, command: list[str], *, once: bool = False) -> None:
        self.name, self.once = name, once
        self._command = [sys.executable, "-m", *command]
        self._log = folder / f"{name}.log"
        self.starts = self.deaths = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

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
    """All roles of one run. `kills` counts what was done to them, by role and way."""

    def __init__(self, folder: Path, config: Config, reading: Reading, chances: dict[str, float], random: Random) -> None:
        self.folder, self.random = folder, random
        self.processes: list[Process] = []
        self.kills: dict[str, int] = {}
        points = [f"{point}={chance}" for point, chance in chances.items()]
        encoded = msgspec.json.encode(config).decode()
        for name in ("aggregate", "aggregate-2", "measure"):
            self._add(name, ["tests.chaos.crashing", name.partition("-")[0], encoded, *points])
        self._add("reader", ["tests.chaos.crashing", "reader", msgspec.json.encode(reading).decode(), *points], once=True)

    def _add(self, name: str, command: list[str], *, once: bool = False) -> None:
        self.processes.append(Process(self.folder, name, command, once=once))

    def add_broker(self, file: Path, port: int) -> None:
        """An embedded broker that is part of the fleet: it dies and comes back like everyone."""
        self._add("broker", ["broker", str(file), "--port", str(port), "--housekeeping", "0.3"])

    async def watch(self) -> None:
        """Start again what died; wake what was stopped, after its session is surely over."""
        sleeping: dict[str, float] = {}
        loop = asyncio.get_running_loop()
        while True:
            for process in self.processes:
                if not process.alive and not process.finished:
                    process.deaths += 1
                    process.start()
                if process.stopped:
                    if process.name not in sleeping:
                        sleeping[process.name] = loop.time()
                        self._count(process.name, "stopped")
                    elif loop.time() - sleeping[process.name] > 9:
                        process.signal(signal.SIGCONT)
                else:
                    sleeping.pop(process.name, None)
            await asyncio.sleep(0.1)

    async def harass(self, seconds: float, pause: float) -> None:
        """Kill somebody every now and then; one in four is asked politely instead, as at a deployment."""
        until = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(self.random.uniform(0.3, 1.7) * pause)
            victim = self.random.choice(self.processes)
            polite = victim.name.startswith("aggregate") and self.random.random() < 0.25
            if not victim.finished and victim.signal(signal.SIGTERM if polite else signal.SIGKILL):
                self._count(victim.name, "ended" if polite else "killed")

    def _count(self, name: str, way: str) -> None:
        self.kills[f"{name} {way}"] = self.kills.get(f"{name} {way}", 0) + 1

    def end(self) -> None:
        for process in self.processes:
            process.end()
