"""The whole of docker-compose.yml but Grafana, run for real on this machine, with two count workers, on the
simulated platforms.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from kafka import KafkaAdminClient

from tests.apache_kafka import KafkaUnavailable
from tests.compose.containers import PATIENCE_SECONDS, Container, free_places, java
from tests.compose.services import ROLES, SERVICES
from tests.live.world import TOKEN, WATCHLIST, World
from tests.prometheus.programs import ask, program
from tests.prometheus.test_alerting import Receiver

# There is no Grafana to be had as a package.
LEFT_OUT = {"grafana"}
SCALE = {"count": 2}


class Chain:
    """Every container, started in the order and upon the conditions that the file says."""

    def __init__(self, folder: Path, world: World, receiver: Receiver, stack: ExitStack) -> None:
        self.places = free_places()
        self.containers: list[Container] = []
        stack.callback(self.kill)
        watchlist = folder / "watchlist.yaml"
        watchlist.write_text(WATCHLIST)
        # Where the platforms are and how fast their time runs; the tokens come as the file says, from files.
        simulated = {name: value for name, value in world.environment.items() if not name.endswith("TOKEN")}
        simulated["NOMADWATCH_WATCHLIST"] = str(watchlist)
        webhooks = {f"{name}_url": f"{receiver.address}/{name}" for name in ("operators", "findings")}
        given = {"github_token": f"{TOKEN}\n", "hf_token": f"{TOKEN}\n", **webhooks}
        order = TopologicalSorter(
            {service: settings.get("depends_on", ()) for service, settings in SERVICES.items()}
        ).static_order()
        for service in (service for service in order if service not in LEFT_OUT):
            for other, how in SERVICES[service].get("depends_on", {}).items():
                self._await(other, how["condition"])
            for number in range(SCALE.get(service, 1)):
                more = simulated if service == "streams" else {}
                self.containers.append(Container(service, folder / f"{service}-{number + 1}", self.places, given, more))

    def _await(self, service: str, condition: str) -> None:
        for container in self.of(service):
            if condition == "service_healthy":
                self.wait(lambda each=container: each.health().returncode == 0, f"{service} to be healthy")
            elif condition == "service_completed_successfully":
                assert container.process.wait(PATIENCE_SECONDS) == 0, container.log

    def of(self, service: str) -> list[Container]:
        return [container for container in self.containers if container.service == service]

    def wait(self, found: Any, what: str) -> Any:
        """The first answer that is not None, False or empty. All processes that do not end must stay alive."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            for container in self.containers:
                assert container.service == "topics" or container.process.poll() is None, (
                    f"{container.service} has ended\n{container.log}"
                )
            if answer := found():
                return answer
            time.sleep(0.2)
        raise AssertionError(f"waited in vain for {what}\n" + "\n".join(container.log for container in self.containers))

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers: labels and values."""
        return ask(f"127.0.0.1:{self.places.prometheus}", expression)

    def labels(self, expression: str, name: str) -> set[str]:
        return {row["metric"][name] for row in self.query(expression)}

    def end(self, service: str) -> None:
        """SIGTERM to all of a service; each must end with 0, as Docker sees of an orderly end."""
        for container in self.of(service):
            # The JVM says 128 + 15 of an orderly end.
            assert container.end() == (143 if service == "kafka" else 0), container.log
            self.containers.remove(container)

    def kill(self) -> None:
        for container in self.containers:
            container.process.kill()
            container.process.wait()


@pytest.fixture(autouse=True)
def programs() -> None:
    """Without them the test is skipped on a person's machine, and fails in CI."""
    for name in ("prometheus", "promtool", "prometheus-alertmanager", "amtool"):
        program(name)
    try:
        java("kafka.Kafka")
    except KafkaUnavailable as reason:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"without Apache Kafka: {reason}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    serving = Thread(target=receiver.server.serve_forever, daemon=True)
    serving.start()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    serving.join()


def owned(broker: str) -> list[int]:
    """How many partitions each worker owns."""
    admin = KafkaAdminClient(bootstrap_servers=broker)
    try:
        members = admin.describe_groups(["count"])["count"]["members"]
    finally:
        admin.close()
    return [
        sum(len(topic["partitions"]) for topic in member["member_assignment"]["assigned_partitions"])
        for member in members
    ]


def test_the_services_work_together_as_the_file_says(tmp_path: Path, receiver: Receiver) -> None:
    with ExitStack() as stack:
        world = stack.enter_context(World(seed=5, scale=20.0, rate=2.0))
        chain = Chain(tmp_path, world, receiver, stack)
        broker = f"127.0.0.1:{chain.places.kafka}"

        # What happens on both platforms comes to Prometheus, by way of everything.
        platforms = {"github", "huggingface"}
        chain.wait(
            lambda: chain.labels('nomadwatch_activity{window="1h"} > 0', "platform") == platforms,
            "both platforms' activity",
        )
        chain.wait(lambda: chain.labels("up == 1", "job") == {"nomadwatch"}, "a scrape that succeeds")
        # The tokens were read from their files: without one GitHub grants 60 requests an hour.
        chain.wait(
            lambda: chain.query('nomadwatch_feed_rate_limit_remaining{feed=~"github:.*"} > 60'),
            "GitHub's quota of a known person",
        )
        chain.wait(lambda: sorted(owned(broker)) == [4, 4], "the workers to share the partitions")

        for container in chain.containers:
            if container.service != "topics":
                chain.wait(lambda each=container: each.health().returncode == 0, f"{container.service} to be healthy")

        # What docs/compose.md tells people to ask, in a container that keeps nothing itself.
        (sinks,) = chain.of("sinks")
        seen = json.loads(sinks.run("feeds", "--format", "json").stdout)
        assert {feed["feed"].partition(":")[0] for feed in seen} == platforms
        assert sinks.run("topics", "check").returncode == 0

        # A read-only container has no other places to write than these.
        for role in ROLES:
            allowed = {"run", "tmp"} | ({"var"} if role in ("streams", "measure") else set())
            assert all(container.written() <= allowed for container in chain.of(role)), role

        # An alert goes the way to its webhook, whose address stands in a file.
        chain.wait(lambda: not chain.query('ALERTS{alertname="StationGone"}'), "the first scrape to end the alert")
        chain.end("sinks")
        receiver.messages["/operators"].clear()
        chain.wait(partial(receiver.got, "/operators", "FIRING: StationGone"), "the station to be missed")

        for service in ("alertmanager", "prometheus", "measure", "streams", "count"):
            witness = chain.of(service)[0]
            chain.end(service)
            if service in ("prometheus", "alertmanager", "count"):
                assert witness.health().returncode == 1
        chain.end("kafka")
