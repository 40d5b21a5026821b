"""Waiting for conditions instead of sleeping."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until the condition holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    """No process has this id, or it is dead and only waits to be reaped."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def parent_of(pid: int) -> int:
    """The process that forked this one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def children_of(pid: int) -> list[int]:
    """The living processes that a process has forked."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            child = int(folder.name)
            try:
                if parent_of(child) == pid and not gone(child):
                    found.append(child)
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def roles_of(pid: int) -> list[int]:
    """The processes of a replay's roles: what its fork server has forked."""
    return [role for server in children_of(pid) for role in children_of(server)]
