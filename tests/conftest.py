"""What all tests share: an environment without a person's settings, and one real Apache Kafka, which may be absent on a
person's machine, never in CI.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.apache_kafka import BRISK, ApacheKafka, KafkaUnavailable

# Where the recorded events lie: the one setting that is for the tests.
_SHARED_DATA = "NOMADWATCH_SHARED_DATA"
_SETTINGS = {"FORCE_COLOR", "GITHUB_TOKEN", "GITHUB_TOKEN_FILE", "HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_FILE"}


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their parameter, not by what is in them.

    gzip writes the time of day into its header, and two workers that collect on either side of a
    second must find the same tests.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session", autouse=True)
def _nobody_s_settings() -> Iterator[None]:
    """What a person has set for the program or for his terminal is not what is tested; before anything that tests share
    is made.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in _SETTINGS or (name.startswith("NOMADWATCH_") and name != _SHARED_DATA):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """A broker that looks for work often; its topics belong to whoever made them."""
    with _running(tmp_path_factory.mktemp("apache")) as kafka:
        yield kafka


@pytest.fixture
def mortal_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """One for a test alone, which may kill it."""
    with _running(tmp_path_factory.mktemp("mortal")) as kafka:
        yield kafka


@contextmanager
def _running(folder: Path) -> Iterator[ApacheKafka]:
    kafka = ApacheKafka(folder, settings=BRISK, java_options=("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"))
    try:
        kafka.start()
    except KafkaUnavailable as reason:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"without Apache Kafka: {reason}")
    yield kafka
    kafka.kill()
