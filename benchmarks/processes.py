"""What the processes of a command used, by the names they show in /proc (Linux)."""

import os
import resource
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_EVERY: Final = 0.1
# Looking at memory takes the kernel a time that grows with it: at most this part of all is spent on it.
_WEIGHING: Final = 0.05


@dataclass
class Usage:
    """Of one command: wall time (s); by process name CPU time (s) and the most memory (MB, shared pages divided);
    `seconds`: CPU time of all; `peak`: memory of all at once, at most; `output`: what it printed, if that was asked
    for.
    """

    wall: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    peak: float = 0.0
    output: str = ""


def run(
    command: list[str],
    *,
    keep: bool = False,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    look: Callable[[dict[str, float]], None] = lambda memory: None,
) -> Usage:
    """Run a command to its end, watching it and its descendants. Raises CalledProcessError if it fails.

    `keep`: keep what it prints, which must be little; `folder`: the one to run in; `environment` is added to this
    process's; `look` gets the memory by process name (MB) whenever it is looked at.
    """
    usage = Usage()
    cpu: dict[tuple[int, str], float] = {}
    waited = _waited()
    begun = time.perf_counter()
    next_look = 0.0
    output = subprocess.PIPE if keep else subprocess.DEVNULL
    settings = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, stdout=output, text=True, cwd=folder, env=settings) as process:
        while process.poll() is None:
            family = _family(process.pid)
            for pid, (name, seconds) in family.items():
                cpu[pid, name] = max(seconds, cpu.get((pid, name), 0.0))
            if time.perf_counter() >= next_look:
                looked = time.perf_counter()
                look(_weigh(family, usage))
                next_look = looked + max(_EVERY, (time.perf_counter() - looked) / _WEIGHING)
            time.sleep(_EVERY)
        usage.wall = time.perf_counter() - begun
        usage.output = process.stdout.read() if process.stdout is not None else ""
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    for (_, name), seconds in cpu.items():
        usage.cpu[name] = usage.cpu.get(name, 0.0) + seconds
    # What a process used after the last look at it is known of those that were waited for.
    usage.seconds = max(sum(usage.cpu.values()), _waited() - waited)
    return usage


def _waited() -> float:
    """CPU seconds of all descendants that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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


def _weigh(family: dict[int, tuple[str, float]], usage: Usage) -> dict[str, float]:
    now: dict[str, float] = {}
    for pid, (name, _) in family.items():
        now[name] = now.get(name, 0.0) + memory_of(pid)
    for name, megabytes in now.items():
        usage.memory[name] = max(megabytes, usage.memory.get(name, 0.0))
    usage.peak = max(usage.peak, sum(now.values()))
    return now


def memory_of(pid: int) -> float:
    """Memory of a process, MB, pages that it shares with others divided among them; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def cpu_of(pid: int) -> float:
    """CPU seconds of a process so far. Raises OSError if it has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
