"""What a scrape costs: `python -m benchmarks.scrape [--series N]`.

A sink in a process of its own, its board filled with measurements of many repositories, is asked over HTTP; the median
of ten.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import time
import urllib.request
from multiprocessing.connection import Connection

from aiohttp import web

from agents.measurements import EVALUATION, Evaluation, Measurement, encode, series
from sinks.server import Sink

SCRAPES = 10
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
FORMS = {
    "text": {},
    "OpenMetrics": {"Accept": OPENMETRICS},
    "OpenMetrics, gzip": {"Accept": OPENMETRICS, "Accept-Encoding": "gzip"},
}


def fill(sink: Sink, count: int) -> None:
    """As many series as asked, as the busiest repositories have them, of an evaluation made now."""
    for number in range(count):
        feature = ("contribution", "exchange", "preference", "review")[number % 4]
        labels = {
            "scope": "all",
            "platform": "github",
            "feature": feature,
            "window": "24h",
            "repository": f"organisation/name-{number}",
        }
        measurement = Measurement("nomadwatch_top_repository_activity", labels, number + 0.5)
        sink.board.put(series(measurement.name, labels), encode(measurement))
    now = time.time_ns() // 1000
    counts = {"activities": count, "duplicates": 0, "late": 0, "dead_letters": {}}
    evaluation = Evaluation(evaluated_at=now, front=now, watermark=now, offsets={}, closed=False, **counts)  # type: ignore[arg-type]
    sink.board.put(EVALUATION, encode(evaluation))


def serve(count: int, line: Connection) -> None:
    """The sink's process; says its port."""

    async def main() -> None:
        sink = Sink("", "")
        fill(sink, count)
        runner = web.AppRunner(sink.app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        line.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


def scrape(port: int, headers: dict[str, str]) -> tuple[float, int]:
    """Seconds and bytes of one."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
    started = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        body = answer.read()
    return time.perf_counter() - started, len(body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=10_000, help="series on the board (default: 10,000)")
    count = parser.parse_args().series
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(count, there), daemon=True)
    process.start()
    port = here.recv()
    for form, headers in FORMS.items():
        scrape(port, headers)
        measured = [scrape(port, headers) for _ in range(SCRAPES)]
        seconds = [each[0] for each in measured]
        spread = f"{min(seconds):.3f} to {max(seconds):.3f}"
        print(
            f"{form:<18}{count:,} series: median {statistics.median(seconds):.3f} s ({spread}), "
            f"{measured[0][1]:,} bytes"
        )
    process.terminate()
    process.join()


if __name__ == "__main__":
    main()
