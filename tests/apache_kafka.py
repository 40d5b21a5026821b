"""Apache Kafka on loopback for tests: one node (KRaft), started from its jars.

`python -m tests.apache_kafka [--port 9092] [--data DIR]` runs it in the foreground until Ctrl-C. It needs Java 17 and
Maven. The jars are fetched once, into `.kafka/jars` in the repository. Kafka is killed when the process that started it
ends.
"""

import argparse
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

_HERE: Final = Path(__file__).resolve().parent
_POM: Final = _HERE / "kafka" / "pom.xml"
_JARS: Final = _HERE.parent / ".kafka" / "jars"
_PATIENCE_SECONDS: Final = 60.0
# Try again if the registry does not answer the first time.
_TRIES: Final = 2
_MEMORY: Final = ("-Xms256m", "-Xmx512m")
_PR_SET_PDEATHSIG: Final = 1

# Settings for tests: frequent housekeeping, small internal topics.
BRISK: Final = {
    "log.cleaner.backoff.ms": "200",
    "log.initial.task.delay.ms": "200",
    "log.retention.check.interval.ms": "300",
    "log.retention.ms": "-1",
    "log.segment.delete.delay.ms": "0",
    "log.cleaner.dedupe.buffer.size": "16777216",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "300",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "group.coordinator.append.linger.ms": "0",
}


class KafkaUnavailable(Exception):
    """Kafka cannot run here; the text says what is missing."""


class ApacheKafka:
    """One node with its data in `folder`. Port 0 takes a free one, which a restart keeps.

    `settings` are added to Kafka's server.properties.
    """

    def __init__(
        self, folder: Path, port: int = 0, settings: Mapping[str, str] | None = None, java_options: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.port = port or self._take_port()
        self._controller_port = self._take_port()
        self._settings = dict(settings or {})
        self._java_options = list(java_options)
        self._process: subprocess.Popen[bytes] | None = None

    def _take_port(self) -> int:
        """A free port. On Linux it stays reserved until Kafka listens there, also over a restart."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = int(held.getsockname()[1])
        if sys.platform == "linux":
            weakref.finalize(self, os.close, held.detach())
        else:
            held.close()
        return port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> "ApacheKafka":
        """Start Kafka, and return when it answers. Raises KafkaUnavailable."""
        jars = fetch_jars()
        self.folder.mkdir(parents=True, exist_ok=True)
        properties = self.folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        if not _is_free(self.port):
            raise KafkaUnavailable(
                f"port {self.port} is in use: choose another with --port, or --port 0 for a free one"
            )
        java = _program("java", "install Java 17, e.g. the package default-jre-headless")
        base = [
            java,
            *_MEMORY,
            *self._java_options,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-cp",
            f"{jars}/*",
        ]
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(base, properties)
        with (self.folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*base, "kafka.Kafka", str(properties)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent,
            )
        self._await_answer()
        return self

    def _format(self, base: list[str], properties: Path) -> None:
        tool = [*base, "kafka.tools.StorageTool"]
        cluster = subprocess.run([*tool, "random-uuid"], check=True, capture_output=True, text=True).stdout.strip()
        command = [*tool, "format", "--standalone", "-t", cluster, "-c", str(properties)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise KafkaUnavailable(
                f"Kafka cannot prepare {self.folder}: {(done.stderr or done.stdout).strip().splitlines()[-1]}"
            )

    def _properties(self) -> dict[str, str]:
        listener, controller = f"PLAINTEXT://{self.address}", f"CONTROLLER://127.0.0.1:{self._controller_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "listeners": f"{listener},{controller}",
            "advertised.listeners": f"{listener},{controller}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder / "data"),
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **self._settings,
        }

    def _await_answer(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise KafkaUnavailable(f"Kafka ended at once: see {self.folder / 'kafka.log'}")
            if _knows_a_broker(self.port):
                return
            time.sleep(0.05)
        self.kill()
        raise KafkaUnavailable(f"Kafka does not answer: see {self.folder / 'kafka.log'}")

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait()

    def stop(self) -> None:
        """End in order (SIGTERM), after 30 s by kill -9."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def fetch_jars() -> Path:
    """The folder of the jars, fetched if needed. Raises KafkaUnavailable."""
    done = _JARS / ".complete"
    wanted = _POM.read_text()
    _JARS.mkdir(parents=True, exist_ok=True)
    with (_JARS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.exists() and done.read_text() == wanted:
            return _JARS
        maven = _program("mvn", "install Maven, e.g. the package maven")
        shutil.rmtree(_JARS)
        command = [
            maven,
            "-q",
            "-B",
            "-U",
            "-f",
            str(_POM),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={_JARS}",
        ]
        for _ in range(_TRIES):
            result = subprocess.run(command, check=False, capture_output=True, text=True)
            if result.returncode == 0:
                break
        else:
            lines = (result.stdout or result.stderr).strip().splitlines() or ["no reason given"]
            raise KafkaUnavailable(f"Maven cannot fetch Kafka's jars: {lines[0]}")
        done.write_text(wanted)
    return _JARS


def _program(name: str, remedy: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise KafkaUnavailable(f"{name} is missing: {remedy}")
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _knows_a_broker(port: int) -> bool:
    """Ask for metadata (version 1, no topics). A node that is ready names one broker."""
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = b""
            while len(answer) < 12:
                piece = connection.recv(4096)
                if not piece:
                    return False
                answer += piece
            return bool(struct.unpack_from(">iii", answer)[2] > 0)
    except OSError:
        return False


def die_with_parent() -> None:
    """For the child, before it starts its program: be killed when the parent dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description="Apache Kafka on this machine, until Ctrl-C.")
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--data", type=Path, help="folder of its log (default: a temporary one)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory(prefix="apache-kafka-") as temporary:
        kafka = ApacheKafka(options.data or Path(temporary), options.port)
        try:
            kafka.start()
            print(f"Apache Kafka at {kafka.address}; Ctrl-C ends it", flush=True)
            return kafka.wait()
        except KafkaUnavailable as error:
            print(f"apache_kafka: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 0
        finally:
            kafka.stop()


if __name__ == "__main__":
    sys.exit(main())
