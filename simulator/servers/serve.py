"""Both platforms on one clock, until a signal ends them."""

import asyncio
import json
import signal
from collections.abc import Callable

from simulator.servers.clock import WorldClock
from simulator.servers.faults import Faults
from simulator.servers.github import GithubServer


def rates_of(text: str) -> dict[str, float]:
    """Rates of faults as the command line writes them. ValueError for anything else.

    >>> rates_of("error=0.02,stale=0.05,skew=90"), rates_of("")
    ({'error': 0.02, 'stale': 0.05, 'skew': 90.0}, {})
    """
    rates = {}
    for part in text.split(",") if text else ():
        kind, equals, rate = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is no fault with its rate; write error=0.02")
        rates[kind.strip()] = float(rate)
    return rates


async def serve(
    seed: int,
    clock: WorldClock,
    faults: Faults,
    *,
    port: int,
    hub_port: int,
    rate: float,
    hub_rate: float,
    era: str,
    token: str | None,
    hub_token: str | None,
    release_in: float | None,
    tell: Callable[[str], object] = print,
) -> None:
    """Serve until SIGINT or SIGTERM; `tell` gets one line of JSON when both listen. OSError if a port is taken."""
    # GitHub alone does not need the Hub's modules.
    from simulator.servers.hub import HubServer

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    github = GithubServer(seed, clock, faults, rate=rate, token=token, era=era, release_in=release_in)
    hub = HubServer(seed, clock, faults, rate=hub_rate, token=hub_token)
    try:
        addresses = {"github": await github.start(port), "huggingface": await hub.start(hub_port)}
        release = github.release._asdict() if github.release else None
        tell(json.dumps({**addresses, "origin": clock.origin, "scale": clock.scale, "release": release}))
        await ended.wait()
    finally:
        await github.stop()
        await hub.stop()
