"""docs/broker-protocol.md says of each request whether it is served."""

import re
from pathlib import Path

from kafka.protocol.api_key import ApiKey

from broker.configs import MOST_PARTITIONS
from broker.wire import APIS

_TEXT = (Path(__file__).parents[2] / "docs" / "broker-protocol.md").read_text()


def _between(start: str, end: str) -> str:
    return _TEXT[_TEXT.index(start) : _TEXT.index(end)]


def test_every_request_that_is_served_stands_there_with_its_versions() -> None:
    served = _between("Requests with the versions", "Any other request")
    assert re.findall(r"`(\w+)`\s(\d+)-(\d+)", served) == [
        (name, str(low), str(high)) for name, low, high in APIS.values()
    ]


def test_every_request_that_is_refused_stands_there_once() -> None:
    refused = re.findall(r"`(\w+)`", _between("Kafka has these other requests", "Of the requests that are served"))
    served = {name for name, _, _ in APIS.values()}
    assert sorted(refused) == sorted({key.name for key in ApiKey} - served)


def test_the_number_of_partitions_stands_there() -> None:
    assert f"more than {MOST_PARTITIONS:,} partitions for a topic" in _TEXT
