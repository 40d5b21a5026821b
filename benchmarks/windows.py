"""What `measure` costs, without Kafka: rows into windows, evaluations, memory, and a start from the store or from the
records of the topic.

python -m benchmarks.windows [--rows N] [--days N] [--together N]
"""

import argparse
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from agents.facts import BOT, ROW, WATCHED, Facts, decode_facts, encode_facts
from agents.measure.binding import open_store
from agents.measure.store import Place, Store
from agents.measure.windows import Windows
from agents.memory import one_arena, trim
from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.threads import Threads
from streams.activity import DAY, HOUR, MINUTE, SECOND
from streams.codes import FEATURE_BITS
from streams.windows import WINDOWS

_PARTITIONS: Final = 8
_START: Final = 1_714_521_600 * SECOND
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
# Evaluations that are timed over the whole input.
_EVALUATIONS: Final = 20

Record = tuple[int, bytes]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--days", type=float, default=10)
    parser.add_argument("--together", type=int, default=20_000, help="rows of all partitions between two refreshes")
    options = parser.parse_args()
    one_arena()
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "records"
        _write(records, options.rows, options.days, options.together)
        trim()
        base = _megabytes()
        spent: dict[str, float] = dict.fromkeys(("decode", "take up", "write", "evaluate"), 0.0)
        windows = Windows(Store(Path(folder) / "facts.sqlite"), _PARTITIONS)
        took: list[float] = []
        rounds = -(-options.rows // options.together)
        for number, own in enumerate(_rounds(records)):
            _put(windows, number, own, spent)
            with _timed(spent, "take up"):
                windows.take_up()
            with _timed(spent, "write"):
                windows.store.write()
            if number % max(1, rounds // _EVALUATIONS) == 0:
                begun = time.process_time()
                windows.evaluate()
                took.append(time.process_time() - begun)
        print(f"{options.rows:,} rows of {options.days:g} days, refreshed every {options.together:,} rows")
        for name in ("decode", "take up", "write"):
            print(f"{name:<28}{1e6 * spent[name] / options.rows:8.2f} µs of CPU a row")
        print(f"{'evaluation of everything':<28}{statistics.median(took):8.2f} s of CPU (median), last {took[-1]:.2f}")
        file = sum(path.stat().st_size for path in Path(folder).glob("facts.sqlite*"))
        print(f"{'store':<28}{file / options.rows:8.1f} B a row, {file / 1e6:,.0f} MB")
        gc.collect()
        trim()
        print(f"{'memory of the windows':<28}{_megabytes() - base:8.0f} MB")
        figures = windows.evaluate(final=True)
        windows.store.close()
        del windows
        trim()
        begun, used = time.perf_counter(), time.process_time()
        again = Windows(open_store(Path(folder) / "facts.sqlite"), _PARTITIONS)
        list(again.fill())
        took_all, used = time.perf_counter() - begun, time.process_time() - used
        print(f"{'start from the store':<28}{took_all:8.2f} s ({used:.2f} s of CPU)")
        assert again.evaluate(final=True) == figures
        again.store.close()
        begun, used = time.perf_counter(), time.process_time()
        anew = Windows(Store(Path(folder) / "anew.sqlite"), _PARTITIONS)
        for number, own in enumerate(_rounds(records)):
            _put(anew, number, own, spent)
            if anew.incoming.waiting > 50_000:
                anew.incoming.store()
                anew.store.write()
        anew.incoming.store()
        anew.store.write()
        read = time.perf_counter() - begun
        list(anew.fill())
        whole, used = time.perf_counter() - begun, time.process_time() - used
        print(f"{'start from the records':<28}{whole:8.2f} s ({used:.2f} s of CPU), {options.rows / read:,.0f} rows/s")
        assert anew.evaluate(final=True) == figures


def _put(windows: Windows, number: int, own: list[Record], spent: dict[str, float]) -> None:
    for partition, value in own:
        with _timed(spent, "decode"):
            facts = decode_facts(value)
        with _timed(spent, "take up"):
            windows.incoming.put(partition, facts, Place(number + 1, 0, b""))


def _write(path: Path, rows: int, days: float, together: int) -> None:
    """The records that `count` would publish: heavy-tailed repositories and people, disorder up to six hours."""
    random = np.random.default_rng(1)
    seen = np.zeros(rows // 8 + 20, np.bool_)
    mix = np.array([50, 3, 12, 14, 8, 5, 4, 4]) / 100
    with path.open("wb") as file:
        for number, begin in enumerate(range(0, rows, together)):
            count = min(together, rows - begin)
            made = np.zeros(count, ROW)
            now = _START + ((begin + np.arange(count)) * (days * DAY / rows)).astype(np.int64)
            late = np.where(random.random(count) < 0.9, MINUTE, 6 * HOUR)
            made["time"] = now - (random.random(count) * late).astype(np.int64)
            made["id"] = random.integers(0, 1 << 63, count, dtype=np.uint64)
            repository = (len(seen) * random.random(count) ** 3).astype(np.int64)
            made["repository"] = (repository.astype(np.uint64) + np.uint64(1)) * _SPREAD
            person = (rows / 10 * random.random(count) ** 2).astype(np.uint64)
            made["actor"] = (person + np.uint64(1)) * ~_SPREAD
            platform = random.random(count) < 0.25
            made["code"] = platform.astype(np.uint8) << FEATURE_BITS | random.choice(8, count, p=mix).astype(np.uint8)
            made["flags"] = BOT * (random.random(count) < 0.15) | WATCHED * (repository % 50 == 0)
            made["project"], made["n"] = made["flags"] & WATCHED > 0, 1
            places = (made["repository"] >> np.uint64(32)) % np.uint64(_PARTITIONS)
            fresh = np.unique(repository[~seen[repository]])
            seen[fresh] = True
            names = [Names() for _ in range(_PARTITIONS)]
            for each in fresh.tolist():
                key = (each + 1) * int(_SPREAD) % (1 << 64)
                names[(key >> 32) % _PARTITIONS].put(
                    key, int(now[0]) // MINUTE, f"owner-{each % 999}/repository-{each}"
                )
            for partition in range(_PARTITIONS):
                progress = Progress(offset=number, front=int(now[-1]), watermark=int(now[0]))
                facts = Facts(made[places == partition], ["olmo"], Threads(), names[partition], progress)
                value = encode_facts(facts, partition)
                file.write(len(value).to_bytes(4, "little") + value)


def _rounds(path: Path) -> Iterator[list[Record]]:
    with path.open("rb") as file:
        own: list[Record] = []
        while head := file.read(4):
            own.append((len(own), file.read(int.from_bytes(head, "little"))))
            if len(own) == _PARTITIONS:
                yield own
                own = []


@contextmanager
def _timed(spent: dict[str, float], name: str) -> Iterator[None]:
    begun = time.process_time()
    yield
    spent[name] += time.process_time() - begun


def _megabytes() -> float:
    """What the process has of its own (MB)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1e3


if __name__ == "__main__":
    assert set(WINDOWS) == {"1h", "24h", "7d", "30d"}
    main()
