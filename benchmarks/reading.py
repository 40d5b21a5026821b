"""How fast an archive hour becomes batches, beside the floor: unpacking it with isal and decoding the same fields with
msgspec.

python benchmarks/reading.py FILE [--rounds N]

All stages run in turn, N times, in one process; of each the quickest round is printed, in CPU seconds. Every stage
holds the one before:

    unpack     isal alone
    lines      and cut into lines
    floor      and decoded into the typed event, which is thrown away
    plain      the same as anybody would write it: for line in igzip.open(FILE): decode(line)
    rows       the events made into rows
    batches    the rows sorted into partitions and packed as columns: all that the reader does before it sends
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from isal import igzip, isal_zlib

from nomadwatch.processes.process import collect_rarely
from streams.archive.content import Content
from streams.archive.plan import Plan, plan
from streams.archive.sections import Options, Sections, Send
from streams.github_events import GithubEvents
from streams.github_payloads import decode_event
from streams.identities import Identities
from streams.kafka.cursors import begin
from streams.watchlist import Watchlist

PARTITIONS = 8
KEY = b"benchmark"
NOW = 4_000_000_000_000_000


def unpack(path: str) -> None:
    with open(path, "rb") as file:
        stream = isal_zlib.decompressobj(31)
        while block := file.read(32 << 10):
            stream.decompress(block)


def lines(path: str) -> None:
    for _ in Content(path):
        pass


def floor(path: str) -> None:
    for chunk in Content(path):
        for line in chunk:
            decode_event(line)


def plain(path: str) -> None:
    with igzip.open(path, "rb") as file:
        for line in file:
            decode_event(line)


def rows(path: str) -> None:
    events = GithubEvents(Identities(KEY, Watchlist.load(), unassigned=True), NOW)
    for chunk in Content(path):
        for line in chunk:
            events.rows(line)


def batches(planned: Plan) -> tuple[int, int]:
    """Events and bytes of the batches."""
    options = Options(Watchlist.load())
    reading = Sections(planned, begin("archive", "benchmark", NOW, PARTITIONS), KEY, options)
    size = sum(len(step.value) for step in reading if isinstance(step, Send))
    return reading.counts.lines, size


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("file", help="an archive hour with full payloads and without garbage, packed with gzip")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    collect_rarely()
    planned = plan([options.file])
    stages: dict[str, Callable[[], object]] = {
        stage.__name__: lambda stage=stage: stage(options.file) for stage in (unpack, lines, floor, plain, rows)
    }
    stages["batches"] = lambda: batches(planned)
    best = dict.fromkeys(stages, float("inf"))
    for _ in range(options.rounds):
        for name, stage in stages.items():
            begun = time.process_time()
            stage()
            best[name] = min(best[name], time.process_time() - begun)
    events, size = batches(planned)
    packed = Path(options.file).stat().st_size
    print(
        f"{options.file}: {events:,} events, {packed / 1e6:.0f} MB packed, batches of {size / 1e6:.0f} MB; "
        f"best of {options.rounds}"
    )
    print(f"{'stage':<12}{'CPU s':>8}{'µs/event':>10}{'events/s':>10}{'of floor':>10}{'of plain':>10}")
    for name, seconds in best.items():
        shares = f"{best['floor'] / seconds:>10.2f}{best['plain'] / seconds:>10.2f}"
        print(f"{name:<12}{seconds:>8.2f}{seconds / events * 1e6:>10.2f}{events / seconds:>10,.0f}{shares}")


if __name__ == "__main__":
    main()
