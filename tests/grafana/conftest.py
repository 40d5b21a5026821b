"""What all of these tests share: one station, watched by one Prometheus."""

from collections.abc import Iterator

import pytest

from tests.grafana.watching import Watched, watched


@pytest.fixture(scope="package")
def watching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """They only look at it."""
    with watched(tmp_path_factory.mktemp("watched")) as found:
        yield found
