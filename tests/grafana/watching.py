"""A real station on simulated platforms, after a gap and unreadable events, scraped by a real Prometheus."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.servers.github import GithubServer
from simulator.servers.hub import HubServer
from tests.grafana.asking import Asker
from tests.live.world import TOKEN, WATCHED, WATCHLIST, World
from tests.nomadwatch.stations import Station
from tests.prometheus.programs import program, running

SHIPPED = Path(__file__).parents[2] / "prometheus"
SCRAPE = 1
PATIENCE = 240.0
# Some feed, that is no sample by nature, has missed something, and polls have a rate.
IMPERFECT = """
  nomadwatch_feed_coverage_ratio{feed!="github:/events"} < 1 and on (feed) nomadwatch_feed_gaps_total
  and on () sum(rate(nomadwatch_feed_polls_total[28s])) > 0
"""
_RELEASES = 'count by (window) (count by (platform, window) (nomadwatch_release_engagement{{window="{window}"}})) == 2'
_COMPLETE = 'count(nomadwatch_window_coverage_ratio{scope="all", window="1h"} >= 0.95) == 2'


@dataclass(frozen=True)
class Watched:
    """The address of the Prometheus, since when it has scraped, and a moment when the last hour of both platforms was
    known completely.
    """

    station: Station
    prometheus: str
    since: float
    complete: float


@contextmanager
def watched(folder: Path, *, scale: float = 240.0, rate: float = 1.0) -> Iterator[Watched]:
    """All of it, once there was something of everything: both platforms, a gap, dead letters, an alert, complete
    windows of an hour.
    """
    watchlist = folder / "watchlist.yaml"
    watchlist.write_text(WATCHLIST)
    with ExitStack() as stack:
        world = World(11, scale, rate)
        both: dict[str, Any] = {
            "people": 600,
            "token": TOKEN,
            "watched": WATCHED,
            "release_in": 3_600.0,
            "release_factor": 4.0,
        }
        world.github = GithubServer(
            11, world.clock, world.faults, rate=rate, history=600.0, repositories=600, unknown=0.03, **both
        )
        # Every change of it can be looked at, on a machine that is busy too: windows that are known completely are
        # waited for.
        world.hub = HubServer(11, world.clock, world.faults, rate=0.1, history=3_600.0, repositories=150, **both)
        stack.enter_context(world)
        environment = {**world.environment, "NOMADWATCH_WATCHLIST": str(watchlist)}
        station = Station("up", "--port", "0", "--data-dir", str(folder / "state"), environment=environment)
        stack.callback(station.kill)
        for platform in ("github", "huggingface"):
            station.await_metric(
                rf'^nomadwatch_window_coverage_ratio{{platform="{platform}",scope="watched",window="1h"}}'
            )
        prometheus = stack.enter_context(_prometheus(folder / "prometheus", station))
        since = time.time()
        world.faults.set(error=1.0)
        await_known(IMPERFECT, prometheus, since, station)
        world.faults.clear()
        station.await_metric(r"^nomadwatch_dead_letters_total")
        station.await_metric(r'^nomadwatch_repository_popularity.*platform="github"')
        await_known('ALERTS{alertstate="firing"}', prometheus, since, station)
        for window in ("7d", "30d"):
            await_known(_RELEASES.format(window=window), prometheus, since, station)
        complete = await_known(_COMPLETE, prometheus, since, station)
        yield Watched(station, prometheus, since, complete)


def await_known(query: str, prometheus: str, since: float, station: Station) -> float:
    """The latest moment at which a query had an answer, once there is one since then; in seconds since 1970."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert station.process.poll() is None, "the station has ended"
        found = [
            float(at)
            for series in Asker(prometheus, since, time.time(), SCRAPE).range(query)
            for at, _ in series["values"]
        ]
        if found:
            return max(found)
        time.sleep(0.5)
    said = re.findall(
        r"^nomadwatch_(?:window_coverage|feed_coverage|feed_gap).*", station.ask("/metrics"), re.MULTILINE
    )
    raise AssertionError("\n".join([f"no answer to {query}", *said]))


@contextmanager
def _prometheus(folder: Path, station: Station) -> Iterator[str]:
    """Prometheus with what is shipped, but every interval a second and every `for` as short."""
    (folder / "rules").mkdir(parents=True)
    text = re.sub(r"(interval|timeout): \w+", rf"\1: {SCRAPE}s", (SHIPPED / "prometheus.yml").read_text())
    text = text[: text.index("alerting:")] + text[text.index("scrape_configs:") :]
    (folder / "prometheus.yml").write_text(text.replace("127.0.0.1:9108", station.url.removeprefix("http://")))
    for rules in (SHIPPED / "rules").glob("*.yml"):
        shortened = re.sub(r"^( +(?:for|interval)): \w+$", r"\1: 1s", rules.read_text(), flags=re.MULTILINE)
        (folder / "rules" / rules.name).write_text(shortened)
    places = f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"
    with running([program("prometheus"), *places, "--web.listen-address=127.0.0.1:0"], folder) as address:
        yield address
