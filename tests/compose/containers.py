"""The services of docker-compose.yml as processes of this machine: each in a folder that stands for its container's
root.

Image, command, environment, health check, mounts and secrets come from the file. What must be different outside
containers stands in three tables: `Places.table`, `PROGRAMS` and `SOONER`.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from nomadwatch.connect import reserve
from tests.apache_kafka import KafkaUnavailable, die_with_parent, fetch_jars
from tests.compose.services import ROOT, SERVICES, mounts, secrets
from tests.prometheus.programs import program

PATIENCE_SECONDS: Final = 90.0
NOMADWATCH: Final = str(Path(sys.executable).parent / "nomadwatch")

# Rules and intervals made for hours, in a test of seconds.
SOONER: Final = (
    (r"(evaluation_interval|group_wait|group_interval): \w+", r"\1: 500ms"),
    # Prometheus wants a timeout within the interval, and a busy machine wants it not too short.
    (r"(scrape_interval|scrape_timeout): \w+", r"\1: 1s"),
    (r"(?m)^( +(?:for|interval)): \w+$", r"\1: 1s"),
)


class Places(NamedTuple):
    """The ports of loopback where the services are, instead of on hosts of their own."""

    kafka: int
    controller: int
    sinks: int
    prometheus: int
    alertmanager: int

    def table(self, root: Path) -> dict[str, str]:
        """What stands in a service's command, environment, health check and mounted files, and what is said instead."""
        return {
            "://:9092": f"://127.0.0.1:{self.kafka}",
            "kafka:9092": f"127.0.0.1:{self.kafka}",
            "localhost:9092": f"127.0.0.1:{self.kafka}",
            "localhost:9094": f"127.0.0.1:{self.controller}",
            "0.0.0.0": "127.0.0.1",
            "sinks:9108": f"127.0.0.1:{self.sinks}",
            "9108": f"{self.sinks}",
            "=:9090": f"=127.0.0.1:{self.prometheus}",
            "localhost:9090": f"127.0.0.1:{self.prometheus}",
            "=:9093": f"=127.0.0.1:{self.alertmanager}",
            "alertmanager:9093": f"127.0.0.1:{self.alertmanager}",
            "localhost:9093": f"127.0.0.1:{self.alertmanager}",
            "=/prometheus": f"={root}/prometheus",
            "=/alertmanager": f"={root}/alertmanager",
            "/etc/": f"{root}/etc/",
            "/run/": f"{root}/run/",
            "/tmp/": f"{root}/tmp/",
            "/var/": f"{root}/var/",
        }

    def said(self, text: str, root: Path) -> str:
        """The text with everything of the table replaced, once."""
        table = self.table(root)
        found = "|".join(re.escape(each) for each in sorted(table, key=len, reverse=True))
        return re.sub(found, lambda match: table[match[0]], text)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with reserve() as held:
        return int(held.getsockname()[1])


def free_places() -> Places:
    """Ports that are free now."""
    return Places(*(free_port() for _ in Places._fields))


def kafka_of_image(root: Path, environment: Mapping[str, str]) -> list[str]:
    """What the image's own script does: Kafka's `KafkaDockerWrapper` makes server.properties of the environment and
    formats the store.
    """
    folders = {name: root / name for name in ("default", "mounted", "final")}
    for folder in folders.values():
        folder.mkdir()
    for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
        (folders["default"] / name).touch()
    options = [part for name, folder in folders.items() for part in (f"--{name}-configs-dir", str(folder))]
    done = subprocess.run(
        [*java("kafka.docker.KafkaDockerWrapper"), "setup", *options],
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    properties = folders["final"] / "server.properties"
    # What Kafka does not know it passes by without a word; what it knows it logs, each on a line of its own.
    known = set(re.findall(r"^\t(\S+) = ", done.stderr, re.MULTILINE))
    asked = {line.partition("=")[0] for line in properties.read_text().splitlines() if line}
    assert len(asked) == sum(name.startswith("KAFKA_") for name in environment) - 1, "all but the heap are properties"
    assert asked <= known, f"Kafka knows no {asked - known}"
    return [*java("kafka.Kafka", *environment["KAFKA_HEAP_OPTS"].split()), str(properties)]


def java(main: str, *options: str) -> list[str]:
    """The command line of a class of Kafka's jars. Raises KafkaUnavailable."""
    found = shutil.which("java")
    if found is None:
        raise KafkaUnavailable("java is missing: install Java 17, e.g. the package default-jre-headless")
    return [found, *options, "-XX:TieredStopAtLevel=1", "-cp", f"{fetch_jars()}/*", main]


# What a container has and this machine has under another name. Both scripts of Kafka start Java with the class.
PROGRAMS: Final[Mapping[str, Callable[[], list[str]]]] = {
    "nomadwatch": lambda: [NOMADWATCH],
    "prom/prometheus": lambda: [program("prometheus")],
    "prom/alertmanager": lambda: [program("prometheus-alertmanager")],
    "promtool": lambda: [program("promtool")],
    "amtool": lambda: [program("amtool")],
    "/opt/kafka/bin/kafka-configs.sh": lambda: java("kafka.admin.ConfigCommand"),
}


class Container:
    """A service, or one of several of it, as a process of this machine. `more`: variables beside those of the file."""

    def __init__(
        self, service: str, root: Path, places: Places, given: Mapping[str, str], more: Mapping[str, str]
    ) -> None:
        self.service, self.root, self._places = service, root, places
        root.mkdir()
        self._fill(given)
        settings = SERVICES[service]
        stated = {name: places.said(value, root) for name, value in settings.get("environment", {}).items()}
        # A home that is not there: whoever wants to write into one is found out.
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(root / "home"), **stated, **more}
        self.image = settings["image"].partition(":")[0]
        start = kafka_of_image(root, self.environment) if self.image == "apache/kafka" else PROGRAMS[self.image]()
        command = [*start, *(places.said(part, root) for part in settings.get("command", []))]
        with (root / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=root,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def _fill(self, given: Mapping[str, str]) -> None:
        """Lay out volumes, files of the repository and secrets, as Docker mounts them; `given` are the secrets."""
        for source, target in mounts(self.service):
            place = self.root / target.removeprefix("/")
            if not source.startswith("."):
                place.mkdir(parents=True)
            elif (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
        for file in self.root.rglob("*.yml"):
            text = self._places.said(file.read_text(), self.root)
            for pattern, sooner in SOONER:
                text = re.sub(pattern, sooner, text)
            file.write_text(text)
        for name, path in secrets(self.service).items():
            place = self.root / path.removeprefix("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(given[name])

    @property
    def log(self) -> str:
        return f"--- {self.root.name}\n{(self.root / 'log').read_text(errors='replace')[-3000:]}"

    def written(self) -> set[str]:
        """The folders of its root that are there now."""
        return {path.name for path in self.root.iterdir() if path.is_dir()}

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """What `docker compose exec SERVICE nomadwatch …` does."""
        command = [NOMADWATCH, *arguments]
        return subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )

    def health(self) -> "subprocess.CompletedProcess[str]":
        """The health check of the file, once."""
        kind, name, *arguments = SERVICES[self.service]["healthcheck"]["test"]
        assert kind == "CMD"
        command = [*PROGRAMS[name](), *(self._places.said(part, self.root) for part in arguments)]
        return subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )

    def end(self) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
