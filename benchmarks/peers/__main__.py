"""The same archive hour and the same work in other engines, in turn: CPU seconds, wall time and memory.

python -m benchmarks.peers --python FILE [--hour DIR] [--events N] [--runs N] [--only NAME ...] [--old CHECKOUT]

FILE is the Python of a virtual environment that has benchmarks/peers/requirements.txt; without it only the floor, a
plain loop and nomadwatch run. The answers of all must be equal, or the command fails. One run with 200,000 events takes
about two minutes, most of it for Bytewax and Quix Streams. benchmarks/peers/README.md says what is compared.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.inputs import quiet_hours
from benchmarks.processes import Usage, run
from benchmarks.replay import FLOOR
from benchmarks.sides import NEW, add_old, sides

HERE = Path(__file__).parent
# {feature: [groups, activities, checksum, people]}; None: the program does not say.
Answer = dict[str, list[int | None]]
# What nomadwatch measures of it, at its place in an answer.
MEASURED = {"nomadwatch_activity": 1, "nomadwatch_active_developers": 3}


class Peer(NamedTuple):
    """A program that does the work; `read` gets its answer from what it printed, or nothing if it has none; `folder` is
    the one in which it runs.
    """

    name: str
    command: list[str]
    read: Callable[[str], Answer | None]
    folder: Path = NEW.root


def printed(output: str) -> Answer:
    """The last line."""
    answer: Answer = json.loads(output.splitlines()[-1])
    return answer


def reported(report: Path) -> Answer:
    """What a report of nomadwatch says of the last 24 hours, in which the whole hour lies."""
    answer: Answer = {}
    for row in json.loads(report.read_text())["measurements"]:
        labels, place = row["labels"], MEASURED.get(row["name"])
        # Merges credited to those who opened the pull request are nomadwatch's own work.
        where = [labels[label] for label in ("platform", "scope", "window")] if place else []
        if place and where == ["github", "all", "24h"] and labels["feature"] != "accepted":
            answer.setdefault(labels["feature"], [None] * 4)[place] = int(row["value"])
    return answer


def peers(python: Path | None, old: Path | None, archive: Path, folder: Path) -> Iterator[Peer]:
    """All that can run here."""
    yield Peer("floor: unpack, decode", NEW.python("-c", FLOOR, archive), lambda _: None)
    yield Peer("plain Python", [sys.executable, str(HERE / "plain.py"), str(archive)], printed)
    if python is not None:
        engines = {"DuckDB": "duckdb", "ClickHouse (chdb)": "clickhouse", "Polars": "polars", "Bytewax": "bytewax"}
        for name, program in engines.items():
            yield Peer(name, [str(python), str(HERE / f"with_{program}.py"), str(archive)], printed)
        on_broker = NEW.python("-m", "benchmarks.peers.on_broker", python, archive)
        yield Peer("Quix Streams", on_broker, printed)
    for side in sides(old):
        report = folder / f"{side.name}.json"
        command = side.nomadwatch("replay", archive, "--report", report)
        name = "nomadwatch" if side is NEW else "nomadwatch, old"
        yield Peer(name, command, lambda _, report=report: reported(report), side.root)


def timed(peer: Peer) -> tuple[Usage, Answer | None]:
    """One run."""
    usage = run(peer.command, keep=True, folder=peer.folder)
    for line in usage.output.splitlines():
        # How long a program waited for more although everything was there: that is no work.
        if line.startswith("waited "):
            usage.wall -= float(line.split()[1])
    return usage, peer.read(usage.output)


def differences(answers: dict[str, Answer]) -> Iterator[str]:
    """Where answers differ from the first one, in what both of them say."""
    (first, expected), *others = answers.items()
    for name, answer in others:
        if answer.keys() != expected.keys():
            yield f"{name} has other features than {first}"
            continue
        for feature, row in answer.items():
            own = [None if value is None else known for value, known in zip(row, expected[feature], strict=True)]
            if row != own:
                yield f"{feature}: {name} says {row}, {first} {expected[feature]}"


def show(usages: dict[str, list[Usage]]) -> None:
    """A row for each peer: medians, and least to most."""
    print(f"{'':<24}{'CPU s':>24}{'wall s':>24}{'MB at most':>12}{'CPU of floor':>14}")
    floor = statistics.median(usage.seconds for usage in next(iter(usages.values())))
    for name, runs in usages.items():
        cells = []
        for values in ([usage.seconds for usage in runs], [usage.wall for usage in runs]):
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        times = statistics.median(usage.seconds for usage in runs) / floor
        print(f"{name:<24}{cells[0]:>24}{cells[1]:>24}{max(usage.peak for usage in runs):>12,.0f}{times:>14.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, metavar="FILE", help="of the environment with the peers' packages")
    parser.add_argument("--hour", type=Path, help="a folder with one *.json.gz hour; otherwise one is generated")
    parser.add_argument("--events", type=int, default=200_000, help="of the generated hour (default: 200,000)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="peers whose names begin so")
    add_old(parser)
    options = parser.parse_args()
    # Not resolved: an environment is known by the link in it.
    python = options.python and options.python.absolute()
    usages: dict[str, list[Usage]] = {}
    answers: dict[str, Answer] = {}
    with tempfile.TemporaryDirectory(prefix="nomadwatch-peers-") as name:
        folder = options.hour or quiet_hours(Path(name) / "hour", options.events)
        archive = next(folder.resolve().glob("*.json.gz"))
        chosen = [
            peer
            for peer in peers(python, options.old, archive, Path(name))
            if not options.only or peer.name.startswith(("floor", *options.only))
        ]
        for _ in range(options.runs):
            for peer in chosen:
                usage, answer = timed(peer)
                usages.setdefault(peer.name, []).append(usage)
                if answer is not None:
                    answers[peer.name] = answer
                print(f"{peer.name}: {usage.seconds:.2f} s of CPU", file=sys.stderr, flush=True)
    print(f"{archive.name}; medians of {options.runs} runs in turn (least to most)")
    show(usages)
    if found := list(differences(answers)):
        raise SystemExit("the answers differ:\n" + "\n".join(found))
    print(
        f"{len(answers)} equal answers: "
        f"{sum(row[1] or 0 for row in next(iter(answers.values())).values()):,} activities"
    )


if __name__ == "__main__":
    main()
