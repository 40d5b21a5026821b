"""What the pure parts cost, on one core: ids, names, turns of threads, a window's tally, and a record of facts.

python -m benchmarks.operators [--keys N]

Keys follow a heavy tail, as repositories do; times are the best of three. Takes ten seconds.
"""

import argparse
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from agents.count.ids import Ids
from agents.count.names import PublishedNames
from agents.facts import ROW, Facts, decode_facts, encode_facts
from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.tally import Keys, RunningTally, Values, sum_tallies
from agents.operators.threads import MERGED, Threads, Turn

_BATCH: Final = 5_000
_UPDATES: Final = 400_000
_HASH: Final = np.uint64(0x9E37_79B9_7F4A_7C15)


def seconds(work: Callable[[], object], setup: Callable[[], object] = lambda: None) -> float:
    """CPU seconds, the best of three runs."""
    best = float("inf")
    for _ in range(3):
        setup()
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def rates() -> None:
    """Parts that are given batches."""
    keys = np.random.default_rng(1).zipf(1.3, _UPDATES).astype(np.uint64) * _HASH
    ids = np.random.default_rng(2).integers(0, 1 << 63, _UPDATES, dtype=np.uint64)
    days, minutes = np.zeros(_BATCH, np.int64), np.zeros(_BATCH, np.int64)
    names = ["organisation/repository"] * _BATCH
    cuts = range(0, _UPDATES, _BATCH)

    def met() -> None:
        known = Ids()
        for cut in cuts:
            own = np.sort(ids[cut : cut + _BATCH])
            known.known(days, own)
            known.add(days, own)

    def named() -> None:
        published = PublishedNames()
        for cut in cuts:
            published.take(keys[cut : cut + _BATCH], minutes, names)

    turns = [Turn(key, key, number % 2 * MERGED << 1, number, key, b"") for number, key in enumerate(ids.tolist())]

    def turned() -> None:
        threads = Threads()
        for cut in cuts:
            own = turns[cut : cut + _BATCH]
            threads.find({turn.thread for turn in own})
            for turn in own:
                threads.put(turn)

    work = {"Ids.known, add": met, "PublishedNames.take": named, "Threads.find, put": turned}
    for name, run in work.items():
        print(f"{name:<38}{_UPDATES / seconds(run) / 1e6:8.2f} M/s")


def population(rng: np.random.Generator, keys: int) -> tuple[Keys, Values]:
    """Sorted keys of two platforms and eight features, and counts with a heavy tail."""
    hashes = rng.integers(0, 1 << 63, keys // 2, dtype=np.uint64) << np.uint64(8)
    codes = rng.choice(16, keys, p=np.array([30, 1, 10, 30, 8, 6, 10, 5] * 2) / 200).astype(np.uint64)
    unique = np.unique(np.concatenate((hashes, rng.choice(hashes, keys - len(hashes)))) | codes)
    return unique, np.minimum(rng.zipf(1.8, len(unique)), 1_000_000).astype(np.int64)


def window(size: int) -> None:
    """A tally that changes in place."""
    rng = np.random.default_rng(1)
    keys, values = population(rng, size)
    running = RunningTally()

    def fill() -> None:
        nonlocal running
        running = RunningTally()
        running.add(keys, values)

    def change(*signed: tuple[Keys, Values]) -> None:
        running.add(*sum_tallies(signed))
        running.get()

    print(f"{'RunningTally, all keys at once':<38}{1e3 * seconds(fill):8.1f} ms   {len(keys):,} keys")
    fresh = rng.integers(0, 1 << 63, 5_000, dtype=np.uint64), np.ones(5_000, np.int64)
    known = np.sort(rng.choice(keys, 5_000, replace=False)), np.ones(5_000, np.int64)
    print(f"{'RunningTally, 10,000 keys, get':<38}{1e3 * seconds(lambda: change(known, fresh), fill):8.1f} ms")
    gone = keys[::100], -values[::100]
    print(f"{'RunningTally, 10,000 keys leave, get':<38}{1e3 * seconds(lambda: change(gone), fill):8.1f} ms")


def records() -> None:
    """Records of facts as a live station and a replay write them."""
    rng = np.random.default_rng(3)
    for count in (25, 20_000):
        rows = np.zeros(count, ROW)
        rows["time"], rows["n"] = 1_714_521_600_000_000 + np.sort(rng.integers(0, 3_600_000_000, count)), 1
        rows["id"] = rng.integers(0, 1 << 63, count, dtype=np.uint64)
        rows["repository"] = rng.zipf(1.3, count).astype(np.uint64) * _HASH
        rows["actor"] = rng.zipf(1.3, count).astype(np.uint64) * _HASH
        facts = Facts(rows, [], Threads(), Names(), Progress())
        value = encode_facts(facts)
        there, back = seconds(lambda f=facts: encode_facts(f)), seconds(lambda v=value: decode_facts(v))  # type: ignore[misc]
        name = f"facts of {count:,} rows, encode, decode"
        print(f"{name:<38}{1e6 * there / count:8.2f} and {1e6 * back / count:.2f} µs a row")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys of the window (default: 1,000,000)")
    size = parser.parse_args().keys
    rates()
    window(size)
    records()


if __name__ == "__main__":
    main()
