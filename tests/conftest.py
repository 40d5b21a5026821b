"""What all tests share: one real Apache Kafka, which may be absent on a person's machine, never in CI."""

import os
from collections.abc import Iterator

import pytest

from tests.apache_kafka import BRISK, ApacheKafka, KafkaUnavailable


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their parameter, not by what is in them.

    gzip writes the time of day into its header, and two workers that collect on either side of a
    second must find the same tests.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """A broker that looks for work often; its topics belong to whoever made them."""
    kafka = ApacheKafka(tmp_path_factory.mktemp("apache"), settings=BRISK, java_options=("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"))
    try:
        kafka.start()
    except KafkaUnavailable as reason:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"without Apache Kafka: {reason}")
    yield kafka
    kafka.kill()
