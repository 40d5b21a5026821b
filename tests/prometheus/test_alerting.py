"""The whole way, for real: the sink's collector is scraped by Prometheus, whose alerts come through Alertmanager to a
webhook.

Rules and configuration are those of `prometheus/`, rendered anew for a test: every `for` and every interval is a second
or less, addresses are the test's, windows and thresholds stay. The week before is written into Prometheus' store as
blocks, and only that.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from agents.measurements import Measurement
from sinks.board import Board, wall_clock
from sinks.prometheus import BoardCollector
from streams.live.common.health import Feeds
from tests.prometheus.programs import checked, program, running, wait_for
from tests.sinks.made import evaluation_record, measurement, record
from tests.sinks.publishing import health_record

SHIPPED = Path(__file__).parents[2] / "prometheus"
FEED = "github:/orgs/allenai/events"
LISTEN = "--web.listen-address=127.0.0.1:0"
HOUR = 3600
DAY = 24 * HOUR


class Station(Collector):
    """A live board with two platforms and one project. With each scrape every feed was polled once more; those
    `failing` in vain.
    """

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.times_usual = 1.0
        self._feeds = Feeds()
        for feed in (FEED, "github:/events", "huggingface:models"):
            self._feeds.open(feed, feed.partition(":")[0])
        self._board = Board(live=True)
        self._collector = BoardCollector(self._board)
        self._lock = Lock()

    def collect(self) -> Iterator[Family]:
        with self._lock:
            now = wall_clock()
            for health in self._feeds.by_name.values():
                health.polls["failed" if health.feed in self.failing else "new"] += 1
                health.newest = now - 60_000_000
            said = [Measurement(name, labels, value) for name, labels, value in self._feeds.rows(now)]
            evaluated = evaluation_record(evaluated_at=now, front=now, watermark=now - 60_000_000)
            self._board.take([health_record(now, rows=said), *map(record, self._measured()), evaluated])
            return iter(list(self._collector.collect()))

    def _measured(self) -> Iterator[Measurement]:
        for platform, artefact in (("github", "software"), ("huggingface", "model")):
            for window, usual in (("1h", 10.0), ("24h", 100.0)):
                yield measurement("window_coverage_ratio", 1.0, scope="watched", platform=platform, window=window)
                where = {
                    "project": "olmo",
                    "platform": platform,
                    "artefact": artefact,
                    "feature": "contribution",
                    "window": window,
                }
                yield measurement("project_activity", usual * self.times_usual, **where)


class Receiver:
    """What came to an incoming webhook, by the path it came to."""

    def __init__(self) -> None:
        self.messages: dict[str, list[str]] = {"/operators": [], "/findings": []}
        messages = self.messages

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                messages[self.path].extend(f"{each['title']}\n{each['text']}" for each in body["attachments"])
                self.send_response(200)
                self.send_header("content-type", "text/plain")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def got(self, path: str, *parts: str) -> str | None:
        """The first message with all these parts."""
        return next((message for message in self.messages[path] if all(part in message for part in parts)), None)


def write_week_before(folder: Path) -> None:
    """Blocks of recorded rules from eight days ago until this morning: usual days, and a feed that answered."""
    now = int(time.time())
    recorded = {
        'project_platform:nomadwatch_activity:last24h{project="olmo",platform="github"}': (
            100,
            8 * DAY + HOUR,
            20 * HOUR,
        ),
        'project_platform:nomadwatch_activity:last24h{project="olmo",platform="huggingface"}': (
            100,
            8 * DAY + HOUR,
            20 * HOUR,
        ),
        'project_platform:nomadwatch_activity:last1h{project="olmo",platform="huggingface"}': (
            10,
            8 * DAY + HOUR,
            20 * HOUR,
        ),
        f'feed_platform:nomadwatch_feed_answers:increase30m{{feed="{FEED}",platform="github"}}': (
            30,
            20 * HOUR,
            18 * HOUR,
        ),
    }
    lines = []
    for series, (value, begin, end) in recorded.items():
        # An instant sees no further back than five minutes.
        lines += [f"{series} {value} {at}\n" for at in range(now - begin, now - end, 240)]
    metrics = folder / "week.openmetrics"
    metrics.write_text("".join(lines) + "# EOF\n")
    # Few large blocks: of the usual two hours there would be a hundred.
    checked(
        program("promtool"),
        "tsdb",
        "create-blocks-from",
        "-q",
        "--max-block-duration=240h",
        "openmetrics",
        metrics,
        folder / "data",
    )


def render_manager(folder: Path, receiver: str) -> None:
    """Alertmanager's file, with the addresses of the webhooks beside it."""
    text = (SHIPPED / "alertmanager.yml").read_text()
    text = re.sub(r"group_(wait|interval): \w+", r"group_\1: 500ms", text)
    (folder / "alertmanager.yml").write_text(text.replace("/etc/alertmanager", str(folder)))
    for path in ("operators", "findings"):
        (folder / f"{path}_url").write_text(f"{receiver}/{path}")


def render_server(folder: Path, station: int, manager: str) -> None:
    """Prometheus' file and its rules."""
    text = (SHIPPED / "prometheus.yml").read_text()
    text = re.sub(r"(interval|timeout): \w+", r"\1: 500ms", text)
    (folder / "prometheus.yml").write_text(
        text.replace("127.0.0.1:9108", f"127.0.0.1:{station}").replace("127.0.0.1:9093", manager)
    )
    (folder / "rules").mkdir()
    for rules in (SHIPPED / "rules").glob("*.yml"):
        shortened = re.sub(r"^( +(?:for|interval)): \w+$", r"\1: 1s", rules.read_text(), flags=re.MULTILINE)
        (folder / "rules" / rules.name).write_text(shortened)


@contextmanager
def alertmanager(folder: Path, receiver: str) -> Iterator[str]:
    """The address of an Alertmanager that tells the receiver."""
    render_manager(folder, receiver)
    (folder / "manager").mkdir()
    places = f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'manager' / 'data'}"
    with running(
        [program("prometheus-alertmanager"), *places, LISTEN, "--cluster.listen-address="], folder / "manager"
    ) as address:
        yield address


def alerts_of(manager: str) -> list[dict[str, Any]]:
    """What Alertmanager knows."""
    with urlopen(f"http://{manager}/api/v2/alerts", timeout=10) as answer:
        alerts: list[dict[str, Any]] = json.load(answer)
    return alerts


class Alerting:
    """Everything at work; it begins with a feed of GitHub that is refused, and a usual day."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.station, self.receiver = Station(), Receiver()
        self.station.failing = {FEED}
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self.station)
        self._exporter, serving = start_http_server(0, "127.0.0.1", registry)
        receiving = Thread(target=self.receiver.server.serve_forever, daemon=True)
        receiving.start()
        stack.callback(self._end, self.receiver.server, receiving)
        self._serving: Thread | None = serving
        stack.callback(self.end_station)
        self._logs = [folder / name / "log" for name in ("manager", "server")]
        self.manager = stack.enter_context(alertmanager(folder, self.receiver.address))
        render_server(folder, self._exporter.server_port, self.manager)
        write_week_before(folder)
        (folder / "server").mkdir()
        places = f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"
        stack.enter_context(running([program("prometheus"), *places, LISTEN], folder / "server"))

    def end_station(self) -> None:
        """It answers no scrape any more."""
        if self._serving is not None:
            self._end(self._exporter, self._serving)
            self._serving = None

    @staticmethod
    def _end(server: Any, thread: Thread) -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    def alert(self, name: str, **labels: str) -> dict[str, Any] | None:
        """An alert that Alertmanager knows."""
        return next(
            (
                each
                for each in alerts_of(self.manager)
                if {"alertname": name, **labels}.items() <= each["labels"].items()
            ),
            None,
        )

    def log(self) -> str:
        """What the servers said, and what came."""
        return "\n".join(log.read_text() for log in self._logs) + f"\n{self.receiver.messages}"


@pytest.fixture
def alerting(tmp_path: Path) -> Iterator[Alerting]:
    with ExitStack() as stack:
        yield Alerting(tmp_path, stack)


def test_an_alert_comes_to_its_webhook_and_what_a_stale_feed_explains_does_not(alerting: Alerting) -> None:
    receiver, log = alerting.receiver, alerting.log
    stale = wait_for(lambda: alerting.alert("FeedStale", feed=FEED, platform="github"), "the feed to be stale", log)
    told = wait_for(lambda: receiver.got("/operators", "FIRING: FeedStale, github", FEED), "its message", log)
    assert "http://127.0.0.1:3000/public/runbooks/FeedStale.md" in told
    assert stale["labels"].keys() == {"alertname", "severity", "feed", "platform"}

    alerting.station.times_usual = 42.0
    # What happens on the Hub is told: the shift and the spike of one project in one message.
    both = "olmo on huggingface: 42 times", "olmo on the Hub: 42 times"
    wait_for(lambda: receiver.got("/findings", "FIRING: olmo", *both), "the findings", log)

    def held_back() -> bool:
        shift = alerting.alert("IntensityShift", platform="github", project="olmo")
        return (
            shift is not None
            and shift["status"]["state"] == "suppressed"
            and shift["status"]["inhibitedBy"] == [stale["fingerprint"]]
        )

    wait_for(held_back, "the shift on GitHub to be held back", log)
    assert receiver.got("/findings", "olmo on github") is None

    alerting.station.failing = set()
    wait_for(lambda: receiver.got("/operators", "RESOLVED: FeedStale, github"), "the feed to be well again", log)
    wait_for(lambda: receiver.got("/findings", "olmo on github: 42 times"), "the shift on GitHub", log)

    alerting.end_station()
    wait_for(
        lambda: receiver.got("/operators", "FIRING: StationGone", "/runbooks/StationGone.md"),
        "the station to be missed",
        log,
    )


Placed = tuple[str, str]
PLACED: dict[str, set[str]] = {
    "github": {"PlatformStale", "FeedStale", "FeedLost", "CoverageLow", "IntensityShift"},
    "huggingface": {"PlatformStale", "FeedStale", "FeedLost", "CoverageLow", "IntensityShift", "ReleaseSpike"},
    "": {"StationGone", "PipelineLag", "DeadLettersGrowing", "SeriesLeftOut"},
}
EVERYTHING: set[Placed] = {(name, platform) for platform, names in PLACED.items() for name in names}
FINDINGS: set[Placed] = {
    ("IntensityShift", "github"),
    ("IntensityShift", "huggingface"),
    ("ReleaseSpike", "huggingface"),
}
# What each alert holds back, if it comes alone.
HELD_BACK: dict[Placed, set[Placed]] = {
    ("FeedStale", "github"): {("IntensityShift", "github")},
    ("FeedStale", "huggingface"): {("IntensityShift", "huggingface"), ("ReleaseSpike", "huggingface")},
    ("PlatformStale", "github"): {
        (name, "github") for name in ("FeedStale", "FeedLost", "CoverageLow", "IntensityShift")
    },
    ("PlatformStale", "huggingface"): {
        (name, "huggingface") for name in ("FeedStale", "FeedLost", "CoverageLow", "IntensityShift", "ReleaseSpike")
    },
    ("PipelineLag", ""): FINDINGS,
    ("StationGone", ""): EVERYTHING - {("StationGone", "")},
}


def equal(found: Callable[[], dict[Placed, str]], expected: dict[Placed, str]) -> bool:
    return found() == expected


def post(manager: str, alerts: set[Placed], ends: str) -> None:
    """Tell Alertmanager of alerts, which end at a time."""
    times = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": ends}
    told = [{"labels": {"alertname": name, "platform": platform}, **times} for name, platform in sorted(alerts)]
    request = Request(
        f"http://{manager}/api/v2/alerts", json.dumps(told).encode(), {"content-type": "application/json"}
    )
    with urlopen(request, timeout=10):
        pass


def test_what_an_alert_holds_back_is_what_it_explains(tmp_path: Path) -> None:
    with alertmanager(tmp_path, "http://127.0.0.1:9") as manager:

        def states() -> dict[Placed, str]:
            return {
                (each["labels"]["alertname"], each["labels"].get("platform", "")): each["status"]["state"]
                for each in alerts_of(manager)
            }

        for cause, held in HELD_BACK.items():
            expected = {
                each: "suppressed" if each in held else "active"
                for each in {cause, *held, *(EVERYTHING - HELD_BACK.keys())}
            }
            post(manager, set(expected), "2100-01-01T00:00:00Z")
            # Until its group was looked at an alert is `unprocessed`; Alertmanager sees causes a little later than
            # alerts.
            wait_for(partial(equal, states, expected), f"what {cause} holds back", lambda: f"{states()}")
            post(manager, set(expected), "2021-01-01T00:00:00Z")
            wait_for(partial(equal, states, {}), f"the end of {cause}")
