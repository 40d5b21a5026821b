"""Prometheus and Alertmanager as processes of a test: on ports of their own choice, ended with it."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

PATIENCE_SECONDS = 60.0
_PACKAGES = {"amtool": "prometheus-alertmanager", "prometheus-alertmanager": "prometheus-alertmanager"}
T = TypeVar("T")


def program(name: str) -> str:
    """Its path. Without it a test is skipped on a person's machine, and fails in CI."""
    path = shutil.which(name)
    if path is None:
        assert os.environ.get("CI") != "true", (
            f"{name} is missing: install Debian's {_PACKAGES.get(name, 'prometheus')}"
        )
        pytest.skip(f"{name} is not installed")
    return path


def checked(*command: str | Path, cwd: Path | None = None) -> str:
    """What a program says that must succeed."""
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return done.stdout


def wait_for(found: Callable[[], T | None], what: str, log: Callable[[], str] = str) -> T:
    """The first answer that is none of None, False and empty."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"waited in vain for {what}\n{log()}")


def ask(prometheus: str, query: str, at: float | None = None) -> list[dict[str, Any]]:
    """The rows of an instant query at an address (host:port), now or at a time (s); none while Prometheus is away or
    not ready.
    """
    asked = urlencode({"query": query, "time": time.time() if at is None else at})
    try:
        with urlopen(f"http://{prometheus}/api/v1/query?{asked}", timeout=10) as answer:
            rows: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return rows
    except HTTPError as error:
        if error.code != HTTPStatus.SERVICE_UNAVAILABLE:  # a query that is wrong
            raise
    except OSError:
        pass
    return []


def _is_ready(address: str) -> bool:
    """It listens before it has read what it holds, and refuses questions until then."""
    try:
        with urlopen(f"http://{address}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def running(command: Sequence[str | Path], folder: Path) -> Iterator[str]:
    """A server's address (host:port), which it says in its log; --web.listen-address must end in :0."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:

        def address() -> str | None:
            assert process.poll() is None, log.read_text()
            said = re.search(r"Listening on.* address=(127\.0\.0\.1:\d+)", log.read_text())
            return said and said[1]

        found = wait_for(address, f"{command[0]} to listen", log.read_text)
        wait_for(lambda: _is_ready(found), f"{command[0]} to be ready", log.read_text)
        yield found
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
