"""What the pure operators cost, on one core: `python benchmarks/operators.py [--keys N]`.

Keys follow a heavy tail, as repositories do; times are the best of three.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from agents.operators.evaluate import evaluate

from agents.operators.ids import Ids
from agents.operators.names import Names
from agents.operators.tally import Keys, RunningTally, Tally, Values, sum_tallies
from agents.operators.threads import MERGED, Threads, Turn
from agents.operators.top import Top

BATCH = 500
UPDATES = 400_000


def seconds(work: Callable[[], object], setup: Callable[[], object] = lambda: None) -> float:
    """The best of three runs."""
    best = float("inf")
    for _ in range(3):
        setup()
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def population(rng: np.random.Generator, keys: int) -> tuple[Keys, Values]:
    """Sorted keys of two platforms and eight features, and counts with a heavy tail."""
    hashes = rng.integers(0, 1 << 63, keys // 2, dtype=np.uint64) << np.uint64(4)
    codes = rng.choice(16, keys, p=np.array([30, 1, 10, 30, 8, 6, 10, 5] * 2) / 200).astype(np.uint64)
    unique = np.unique(np.concatenate((hashes, rng.choice(hashes, keys - len(hashes)))) | codes)
    return unique, np.minimum(rng.zipf(1.8, len(unique)), 1_000_000).astype(np.int64)


def update_rates(rng: np.random.Generator) -> None:
    stream = (rng.zipf(1.3, UPDATES).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)).tolist()
    batches = [stream[i : i + BATCH] for i in range(0, len(stream), BATCH)]
    ids = np.random.default_rng(2).integers(0, 1 << 63, UPDATES, dtype=np.uint64).tolist()
    id_batches = [ids[i : i + BATCH] for i in range(0, len(ids), BATCH)]
    texts = ["organisation/repository"] * BATCH

    def tally() -> None:
        summary = Tally()
        for batch in batches:
            summary.update(batch)
        summary.snapshot()

    def known() -> None:
        summary = Ids()
        for number, batch in enumerate(id_batches):
            summary.known(batch)
            summary.update(batch)
            if number % 100 == 0:
                summary.snapshot()

    def names() -> None:
        summary = Names()
        for minute, batch in enumerate(batches):
            summary.put_many(batch, minute, texts)
        summary.snapshot()

    turns = [Turn(key, key, number % 2 * MERGED << 1, number, key, b"") for number, key in enumerate(ids)]
    turn_batches = [turns[i : i + BATCH] for i in range(0, len(turns), BATCH)]

    def threads() -> None:
        summary = Threads()
        for number, batch in enumerate(turn_batches):
            summary.find({turn.thread for turn in batch})
            for turn in batch:
                summary.put(turn)
            if number % 100 == 0:
                summary.snapshot()

    work_by_name = {
        "Tally.update": tally,
        "Ids.known + update": known,
        "Names.put_many": names,
        "Threads.find + put": threads,
    }
    for name, work in work_by_name.items():
        print(f"{name:<34}{UPDATES / seconds(work) / 1e6:8.2f} M/s")


def window_costs(rng: np.random.Generator, size: int) -> None:
    keys, values = population(rng, size)
    running = RunningTally()

    def fill() -> None:
        nonlocal running
        running = RunningTally()
        running.add(keys, values)

    print(f"{'RunningTally, all keys at once':<34}{1e3 * seconds(fill):8.1f} ms   {len(keys):,} keys")
    fresh = rng.integers(0, 1 << 63, 5_000, dtype=np.uint64)
    change = sum_tallies([(rng.choice(keys, 5_000), np.ones(5_000, np.int64)), (fresh, np.ones(5_000, np.int64))])
    print(f"{'RunningTally, 10,000 keys':<34}{1e3 * seconds(lambda: running.add(*change), fill):8.1f} ms")
    drop = keys[::100], -values[::100]
    print(f"{'RunningTally, 10,000 keys leave':<34}{1e3 * seconds(lambda: running.add(*drop), fill):8.1f} ms")
    data = Tally(keys, values).snapshot()
    print(f"{'Tally.restore':<34}{1e3 * seconds(lambda: Tally.restore(data)):8.1f} ms   {len(data) / 1e6:.1f} MB")
    counts = {"github/contribution/human": 1}
    asked = 0

    def names_of(keys: Sequence[int]) -> dict[int, str]:
        nonlocal asked
        asked += len(keys)
        return {key: str(key) for key in keys}

    def whole() -> None:
        evaluate("all", "30d", counts, (keys, values), (keys, values), names_of, Top())

    print(f"{'evaluate':<34}{1e3 * seconds(whole):8.1f} ms   {asked // 3:,} names asked")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys of the window (default: 1,000,000)")
    size = parser.parse_args().keys
    rng = np.random.default_rng(1)
    update_rates(rng)
    window_costs(rng, size)


if __name__ == "__main__":
    main()
