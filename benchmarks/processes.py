"""What the processes of a command used, by the names they show in /proc (Linux)."""

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_EVERY: Final = 0.1


@dataclass
class Usage:
    """Of one command: wall time (s); by process name CPU time (s) and the most memory (MB, shared pages divided);
    `peak`: all at once.
    """

    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    peak: float = 0.0


def run(command: list[str]) -> Usage:
    """Run a command to its end, watching it and its descendants. Raises CalledProcessError if it fails."""
    usage = Usage()
    cpu: dict[tuple[int, str], float] = {}
    begun = time.perf_counter()
    looked = 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            family = _family(process.pid)
            for pid, (name, seconds) in family.items():
                cpu[pid, name] = max(seconds, cpu.get((pid, name), 0.0))
            if time.perf_counter() - looked > 5 * _EVERY:
                looked = time.perf_counter()
                _weigh(family, usage)
            time.sleep(_EVERY)
    usage.wall = time.perf_counter() - begun
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    for (_, name), seconds in cpu.items():
        usage.cpu[name] = usage.cpu.get(name, 0.0) + seconds
    return usage


def _family(root: int) -> dict[int, tuple[str, float]]:
    """{pid: (name, CPU seconds)} of a process and all its descendants."""
    parents: dict[int, int] = {}
    found: dict[int, tuple[str, float]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                name, _, rest = Path(entry.path, "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            fields = rest.split()
            parents[int(entry.name)] = int(fields[1])
            found[int(entry.name)] = name, (int(fields[11]) + int(fields[12])) / _TICKS

    def descends(pid: int) -> bool:
        while pid and pid != root:
            pid = parents.get(pid, 0)
        return pid == root

    return {pid: own for pid, own in found.items() if descends(pid)}


def _weigh(family: dict[int, tuple[str, float]], usage: Usage) -> None:
    total = 0.0
    for pid, (name, _) in family.items():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        megabytes = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024
        total += megabytes
        usage.memory[name] = max(megabytes, usage.memory.get(name, 0.0))
    usage.peak = max(usage.peak, total)
