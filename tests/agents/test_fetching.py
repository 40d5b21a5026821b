"""How the count worker waits for records where Faust would sleep for a second."""

import asyncio
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from agents.faust_adapter import PromptConsumer

PLACE = TP("activity", 0)


class Full(PromptConsumer):
    """A consumer whose buffers are full for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.flow_active = True

    def assignment(self) -> set[TP]:
        return {PLACE}

    def _get_active_partitions(self) -> set[TP]:
        self.looks -= 1
        return {PLACE} if self.looks < 0 else set()


@pytest.mark.parametrize("looks", [0, 1, 7])
def test_it_fetches_as_soon_as_there_is_room(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(self: Any, timeout: float) -> tuple[int, float]:
        return self.looks, timeout

    monkeypatch.setattr(Consumer, "_wait_next_records", fetch)
    # Faust looks once for itself, and is not called before there is something to fetch for.
    assert asyncio.run(Full(looks)._wait_next_records(2.5)) == (-1, 2.5)


def test_it_leaves_the_rest_to_faust_where_nothing_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch(self: Any, timeout: float) -> int:
        looks: int = self.looks
        return looks

    monkeypatch.setattr(Consumer, "_wait_next_records", fetch)
    stopped = Full(5)
    stopped.flow_active = False
    assert asyncio.run(stopped._wait_next_records(2.5)) == 5
