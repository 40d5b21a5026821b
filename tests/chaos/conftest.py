"""The two brokers of the chaos tests: the embedded one, which is killed too, and Apache Kafka."""

import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nomadwatch.connect import reserve
from tests.chaos.fleet import ROOT, Fleet


class Embedded:
    """The embedded broker. Once the chaos begins, the fleet runs and kills it."""

    def __init__(self, folder: Path) -> None:
        held = reserve()
        self._file, self.port = folder / "log.db", int(held.getsockname()[1])
        # Keep the port reserved while the broker is dead.
        weakref.finalize(self, os.close, held.detach())
        self.bootstrap = f"127.0.0.1:{self.port}"
        self._start()

    def _start(self) -> None:
        command = [sys.executable, "-m", "broker", str(self._file), "--port", str(self.port), "--housekeeping", "0.3"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the broker prints a line when it is ready"

    @property
    def size(self) -> int:
        """Bytes of the log on disk."""
        return sum(path.stat().st_size for path in self._file.parent.glob(f"{self._file.name}*"))

    def join(self, fleet: Fleet) -> None:
        self.stop()
        fleet.add_broker(self._file, self.port)

    def revive(self) -> None:
        self._start()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Apache:
    """Apache Kafka. It stays alive; all others are killed."""

    def __init__(self, kafka: Any) -> None:
        self._kafka, self.bootstrap = kafka, kafka.address

    def join(self, fleet: Fleet) -> None:
        pass

    def revive(self) -> None:
        pass


@pytest.fixture(params=["embedded", "apache"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    if request.param == "embedded":
        embedded = Embedded(tmp_path)
        yield embedded
        embedded.stop()
    else:
        yield Apache(request.getfixturevalue("apache_kafka"))
