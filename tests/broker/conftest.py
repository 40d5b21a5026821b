"""Both brokers under the same tests: the embedded one, and a real Apache Kafka."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apache_kafka import ApacheKafka
from tests.broker.clients import eventually, unique
from tests.broker.embedded import EmbeddedBroker
from tests.broker.raw import Raw

AnyBroker = EmbeddedBroker | ApacheKafka


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(tmp_path_factory.mktemp("embedded") / "log.db", "--housekeeping", "0.2").start()
    yield broker
    assert broker.stop() == 0
    assert broker.complaints == ""


@pytest.fixture(scope="session")
def apache(apache_kafka: ApacheKafka) -> ApacheKafka:
    with Raw(apache_kafka.address) as connection:  # its coordinators are there once they were asked for
        for kind in (0, 1):
            assert eventually(
                lambda kind=kind: connection.call("FindCoordinator", 1, key="warm", key_type=kind).error_code == 0
            )  # type: ignore[misc]
    return apache_kafka


@pytest.fixture(scope="session", params=["embedded", "apache"])
def broker(request: pytest.FixtureRequest) -> AnyBroker:
    found: AnyBroker = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def raw(broker: AnyBroker) -> Iterator[Raw]:
    with Raw(broker.address) as connection:
        yield connection


@pytest.fixture
def make_topic(raw: Raw) -> Callable[..., str]:
    """make_topic(partitions=1, **settings) -> its name, once it can be written to."""

    def make(partitions: int = 1, **settings: Any) -> str:
        return made_topic(raw, partitions, **settings)

    return make


def made_topic(raw: Raw, partitions: int = 1, **settings: Any) -> str:
    name = unique()
    assert raw.create(name, partitions, **settings) == 0

    def ready() -> bool:
        topic = raw.metadata(name)
        led = topic.error_code == 0 and [each.leader_id for each in topic.partitions] == [1] * partitions
        return led and all(raw.offset(name, -1, partition=number)[0] == 0 for number in range(partitions))

    assert eventually(ready)
    return name


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log.db"
