"""The embedded broker as a process of its own, so that it can be killed."""

import os
import subprocess
import sys
from pathlib import Path

from tests.apache_kafka import die_with_parent


class EmbeddedBroker:
    """`python -m broker` on a file. A restart keeps the port. `module` may be a broker that kills itself."""

    def __init__(self, file: Path, *options: str, module: str = "broker") -> None:
        self.file = file
        self.port = 0
        self.module = module
        self.environment: dict[str, str] = {}
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def complaints(self) -> str:
        """What it wrote to stderr."""
        return self.file.with_suffix(".err").read_text()

    def start(self) -> "EmbeddedBroker":
        command = [
            sys.executable,
            "-m",
            self.module,
            str(self.file),
            "--port",
            str(self.port),
            "--auto-create",
            *self._options,
        ]
        environment = {**os.environ, **self.environment, "PYTHONWARNINGS": "ignore"}
        with self.file.with_suffix(".err").open("a") as complaints:
            self._process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
                env=environment,
                preexec_fn=die_with_parent,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the broker did not start: {self.complaints}"
        self.port = int(line.rsplit(":", 1)[1])
        return self

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._ended()

    def stop(self) -> int:
        """An orderly end; its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._ended()

    def _ended(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._process.wait(20)
