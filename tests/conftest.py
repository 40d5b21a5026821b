"""What all tests share: an environment without your own settings, and Apache Kafka. Its tests are skipped if it cannot
run; in CI it must run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.apache_kafka import BRISK, ApacheKafka, KafkaUnavailable

# The folder of recorded events: the one variable that is for tests.
_SHARED_DATA = "NOMADWATCH_SHARED_DATA"
_SETTINGS = {"FORCE_COLOR", "GITHUB_TOKEN", "GITHUB_TOKEN_FILE", "HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_FILE"}


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name byte strings by their parameter, not by their content.

    gzip writes the time into its header, and two workers must collect tests with the same names.
    """
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session", autouse=True)
def _nobody_s_settings() -> Iterator[None]:
    """Remove settings of the program and of the terminal from the environment, before any other fixture runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name in _SETTINGS or (name.startswith("NOMADWATCH_") and name != _SHARED_DATA):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """An Apache Kafka for all tests of a run. Each test uses topics of its own."""
    with _running(tmp_path_factory.mktemp("apache")) as kafka:
        yield kafka


@pytest.fixture
def mortal_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """An Apache Kafka for one test, which may kill it."""
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
