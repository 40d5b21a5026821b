"""Both simulated platforms in a thread of this process, so that a test can ask for the truth while a station polls
them.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from simulator.servers.clock import WorldClock
from simulator.servers.faults import Faults
from simulator.servers.github import GithubServer
from simulator.servers.hub import HubServer
from simulator.servers.ledger import Offence

T = TypeVar("T")
TOKEN = "a-valid-token"
# Two organisations on both platforms and one repository by name: small enough for a test, with every way of naming.
WATCHED = {
    "fabula": (("sampleai",), ("sampleai",)),
    "figment": (("ImaginaryAI",), ("ImaginaryAI",)),
    "tinysample": (("sample-hub/tinysample",), ("SampleHubTB",)),
}
# The simulator gives a watched organisation so many repositories.
_EACH = 4


def _listed(watched: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> str:
    """A watchlist's text."""
    places = {name: {"github": on_github, "huggingface": on_hub} for name, (on_github, on_hub) in watched.items()}
    return "".join(
        f"- project: {name}\n"
        + "".join(f"  {platform}: [{', '.join(each)}]\n" for platform, each in on.items() if each)
        for name, on in places.items()
    )


WATCHLIST = _listed(WATCHED)
FEEDS = ("/orgs/sampleai/events", "/orgs/ImaginaryAI/events", "/repos/sample-hub/tinysample/events")
# Shares of all answers, and by how many seconds of real time the servers' clock is ahead in their `Date`.
FAULTS = {"dropped": 0.02, "cut": 0.02, "error": 0.02, "truncated": 0.02, "garbage": 0.02, "stale": 0.04, "skew": 90.0}
# Without "silent": a client that is refused without a time waits a minute of real time, which is hours of a fast world.
DIALECTS = ("retry-after", "reset")


class World:
    """GitHub and the Hub at `scale` times real time; `rate` events of GitHub a simulated second.

    `watchlist` has what is `WATCHED`, and further organisations on the Hub until it has `hub_repositories`.
    """

    def __init__(
        self,
        seed: int,
        scale: float,
        rate: float,
        *,
        hub_rate: float = 0.3,
        history: float = 600.0,
        hub_repositories: int = 0,
    ) -> None:
        further = -(-(hub_repositories - _EACH * len(WATCHED)) // _EACH)
        more = {f"sample-{number}": ((), (f"sample-org-{number}",)) for number in range(further)}
        watched: dict[str, tuple[Sequence[str], Sequence[str]]] = {**WATCHED, **more}
        self.watchlist = _listed(watched)
        self.origin = time.time()
        self.scale = scale
        self.clock = WorldClock(scale, self.origin)
        self.faults = Faults(seed)
        world: dict[str, Any] = {"token": TOKEN, "watched": watched, "people": 600}
        self.github = GithubServer(seed, self.clock, self.faults, rate=rate, history=history, repositories=600, **world)
        self.hub = HubServer(seed, self.clock, self.faults, rate=hub_rate, history=3_600.0, repositories=150, **world)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "World":
        self._thread.start()
        self.addresses = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(60)
        return self

    async def _start(self) -> tuple[str, str]:
        return await self.github.start(), await self.hub.start()

    def refuse_everybody(self, seconds: float, dialect: str) -> None:
        """From now on, for simulated seconds, both platforms refuse every request; GitHub in one of its dialects."""
        self.ask(lambda: self.github.limits.refuse_everybody(seconds, dialect))
        self.ask(lambda: self.hub.limits.refuse_everybody(seconds))

    @property
    def asked(self) -> tuple[float, float]:
        """Numbers that grow when GitHub, and when the Hub, gets a request."""
        return self.ask(
            lambda: (self.github.api.requests[-1].at if self.github.api.requests else 0.0, self.hub.statuses.total())
        )

    @property
    def refused(self) -> tuple[int, int]:
        """How often GitHub and the Hub have refused to answer."""
        return self.ask(lambda: (self.github.limits.refused.total(), self.hub.limits.refused))

    @property
    def offences(self) -> list[Offence]:
        """The rules that clients broke."""
        return self.ask(lambda: [*self.github.offences, *self.hub.offences])

    def __exit__(self, *exception: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        await self.github.stop()
        await self.hub.stop()

    def ask(self, question: Callable[[], T]) -> T:
        """The answer of the world's own thread."""

        async def answer() -> T:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result(60)

    @property
    def environment(self) -> dict[str, str]:
        """The environment that lets a station poll this world."""
        github, hub = self.addresses
        return {
            "NOMADWATCH_GITHUB_API": github,
            "HF_ENDPOINT": hub,
            "GITHUB_TOKEN": TOKEN,
            "HF_TOKEN": TOKEN,
            "NOMADWATCH_TIME_SCALE": str(self.scale),
            "NOMADWATCH_TIME_ORIGIN": repr(self.origin),
        }


def until_both_grow(numbers: Callable[[], tuple[float, float]], seconds: float) -> None:
    """Wait until both numbers have grown, but no longer than so many seconds of real time."""
    before, until = numbers(), time.monotonic() + seconds
    while time.monotonic() < until and not all(now > then for now, then in zip(numbers(), before, strict=True)):
        time.sleep(0.02)
