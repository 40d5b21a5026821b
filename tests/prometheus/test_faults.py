"""What dies, or is away, between a measurement and a dashboard: nothing is lost, and nothing grows meanwhile."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.scrape import serve
from nomadwatch.state import read_kept
from sinks.prometheus import MOST
from tests.nomadwatch.stations import Station
from tests.prometheus.outage import ASKED, Witness, judge, scrapes
from tests.prometheus.programs import ask, program, running, wait_for

STANDING = {"nomadwatch_activity", "nomadwatch_window_coverage_ratio", "nomadwatch_feed_polls"}
GROWTH = 40 << 20


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The station's folder."""
    return tmp_path_factory.mktemp("station") / "state"


@pytest.fixture(scope="module")
def station(state: Path) -> Iterator[Station]:
    """The station on the simulated platforms, as fast as the demonstration is."""
    made = Station("demo", "--port", "0", "--data-dir", str(state))
    try:
        for name in STANDING:
            made.await_metric(f"^{name}")
        yield made
        assert made.end() == 0, made.err
    finally:
        made.kill()


def health(station: Station) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(station.ask("/healthz"))
    return answer


def rss(pid: int) -> int:
    """Bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def scrape(station: Station) -> set[str]:
    """The families of a scrape, which must be a valid one."""
    return {family.name for family in text_string_to_metric_families(station.ask("/metrics"))}


def total(station: Station) -> float:
    """Everything that was counted, without merges that were credited, which can be withdrawn."""
    lines = [line for line in station.ask("/metrics").splitlines() if line.startswith("nomadwatch_activities_total{")]
    return sum(float(line.split()[-1]) for line in lines if 'scope="all"' in line and 'feature="accepted"' not in line)


def prometheus(folder: Path, url: str, every: str = "1s") -> AbstractContextManager[str]:
    """A Prometheus that scrapes a station again and again; the folder keeps what it knows."""
    target = url.removeprefix("http://")
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {every}}}\n"
        f"scrape_configs: [{{job_name: nomadwatch, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    places = f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"
    return running([program("prometheus"), *places, "--web.listen-address=127.0.0.1:0"], folder)


def value(prometheus: str, query: str) -> float | None:
    """The first sample of an instant query; None while there is none."""
    found = ask(prometheus, query)
    return float(found[0]["value"][1]) if found else None


def test_scrapes_stay_whole_while_measure_restarts(station: Station) -> None:
    before = scrape(station)
    assert before >= STANDING
    evaluated = health(station)["evaluated_at"]
    dead = station.roles()["measure"]
    os.kill(dead, signal.SIGKILL)
    killed = health(station)["evaluated_at"]
    scrapes = 0
    deadline = time.monotonic() + 90
    while station.roles().get("measure", dead) == dead or health(station)["evaluated_at"] <= max(evaluated, killed):
        assert time.monotonic() < deadline, health(station)
        # A figure that blinks would be a hole in every line, and an alert about nothing.
        assert before - scrape(station) == set()
        assert health(station)["status"] == "ok"
        scrapes += 1
    assert scrapes > 3


def test_what_happened_while_prometheus_was_down_is_in_the_figures_when_it_is_back(
    station: Station, state: Path, tmp_path: Path
) -> None:
    kept = read_kept(state)
    assert kept is not None
    bootstrap = f"127.0.0.1:{kept.port}"
    with Witness(bootstrap) as witness:
        with prometheus(tmp_path, station.url) as address:
            wait_for(lambda: scrapes(address), "a first scrape")
        sinks = station.roles()["sinks"]
        size, began = rss(sinks), total(station)
        wait_for(lambda: total(station) > began + 100, "a hundred more activities")
        assert rss(sinks) < size + GROWTH, "nothing is kept for a Prometheus that is away"
        with prometheus(tmp_path, station.url) as address:
            wait_for(
                lambda: [scrape for scrape in scrapes(address) if scrape.total > began + 100],
                "what was counted meanwhile",
            )
            # One counter that went on, not one that began anew: its increase is everything, whenever it happened, as
            # the topic has it.
            before, after = judge(bootstrap, witness, scrapes(address))
            assert after.total - before.total > 100
            assert value(address, f"sum(resets({ASKED}[10m]))") == 0
            assert value(address, "min(up)") == 1


def test_a_board_of_sixty_thousand_series_is_scraped_to_its_bound_in_bounded_memory(tmp_path: Path) -> None:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(60_000, there), daemon=True)
    process.start()
    try:
        assert here.poll(60)
        with prometheus(tmp_path, f"http://127.0.0.1:{here.recv()}", every="8s") as address:
            kept = wait_for(lambda: value(address, "count({job='nomadwatch', __name__=~'nomadwatch_.*'})"), "a scrape")
            assert kept <= MOST
            size = rss(process.pid or 0)
            assert size < 600 << 20
            left_out = value(address, "nomadwatch_series_left_out")
            named = value(address, "count(nomadwatch_top_repository_activity)")
            assert left_out is not None
            assert named is not None
            assert left_out + named == 60_000
            wait_for(lambda: (value(address, "sum(count_over_time(up[1m]))") or 0.0) >= 3, "more scrapes")
            assert value(address, "min_over_time(up[1m])") == 1
            assert rss(process.pid or 0) < size + 2 * GROWTH
    finally:
        process.kill()
        process.join()
