"""What others write into the topic `facts`: what a worker writes is sound, and nothing else stops its readers."""

from collections import Counter
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from agents import facts as module
from agents import packing
from agents.count.partition import Count
from agents.facts import (
    KEY,
    NO_ROWS,
    ROW,
    WATCHED,
    Facts,
    encode_facts,
    encode_in_parts,
    pack_rows,
    read_facts,
    renumbered,
)
from agents.operators.names import Names
from agents.operators.progress import Feed, Progress
from agents.operators.threads import ACCEPTED, MERGED, Threads, Turn
from simulator.stream import five_days
from streams.activity import LATEST, Activity, Foreign
from tests.count.making import NOW, PARTITIONS, batches, feed


@pytest.fixture(scope="module")
def written() -> list[tuple[int, Facts, bytes]]:
    """(partition, facts, record) of what workers write of five days."""
    counts = [Count(number) for number in range(PARTITIONS)]
    random = Random(3)
    records: list[tuple[int, Facts, bytes]] = []
    for number, batch in batches(msgspec.convert(five_days(seed=5, n=6_000), list[Activity]), Random(2)):
        feed(counts[number], batch)
        if random.random() < 0.05:
            facts = counts[number].checkpoint()
            records.append((number, facts, encode_facts(facts, number)))
            watched = counts[number].watched.take(facts)
            if watched is not None:
                records.append((number, watched, encode_facts(watched, number)))
    return records


def test_whatever_a_worker_writes_is_read_as_it_was(written: list[tuple[int, Facts, bytes]]) -> None:
    for partition, facts, value in written:
        again = read_facts(partition, KEY, value)
        order = np.argsort(facts.rows["repository"], kind="stable")
        assert (again.rows == facts.rows[order]).all()
        assert list(again.projects) == list(facts.projects)
        assert again.threads.get() == facts.threads.get()
        assert again.names.get_all() == facts.names.get_all()
        assert again.progress == facts.progress
    assert any(len(facts.threads) for _, facts, _ in written)
    assert any(len(facts.names) for _, facts, _ in written)
    assert any(len(facts.rows) < 20 for _, facts, _ in written)


@pytest.mark.parametrize("most", [400, 3_000])
def test_a_checkpoint_that_is_too_large_becomes_several_records_with_the_progress_last(
    most: int, written: list[tuple[int, Facts, bytes]]
) -> None:
    partition, facts, value = max(written, key=lambda record: len(record[2]))
    parts = encode_in_parts(facts, partition, most)
    assert len(parts) > len(value) // most
    read = [read_facts(partition, KEY, part) for part in parts]
    assert [part.progress for part in read] == [None] * (len(read) - 1) + [facts.progress]
    rows = np.concatenate([part.rows for part in read])
    assert (rows == facts.rows[np.argsort(facts.rows["repository"], kind="stable")]).all()
    turns = [turn for part in read for turn in part.threads.get()]
    assert sorted(turns) == facts.threads.get()
    names = sorted(name for part in read for name in part.names.get_all())
    assert names == facts.names.get_all()


def test_projects_get_other_numbers_and_the_record_keeps_its_own() -> None:
    rows = np.zeros(3, ROW)
    rows["project"] = [2, 0, 1]
    rows.setflags(write=False)
    facts = Facts(rows, ["olmo", "qwen"], Threads(), Names(), Progress())
    assert renumbered(facts, {"olmo": 7, "qwen": 4}.__getitem__)["project"].tolist() == [4, 0, 7]
    assert rows["project"].tolist() == [2, 0, 1]


def test_a_checkpoint_in_parts_is_restored_as_one(written: list[tuple[int, Facts, bytes]]) -> None:
    whole, parted = Count(1), Count(1)
    for partition, facts, value in written:
        if partition == 1 and len(facts.rows) and not (facts.rows["flags"] & WATCHED).all():
            whole.learn([read_facts(1, KEY, value)])
            parted.learn([read_facts(1, KEY, part) for part in encode_in_parts(facts, 1, 2_000)])
    assert whole.progress == parted.progress
    assert len(whole.ids) == len(parted.ids) > 100
    assert len(whole.names) == len(parted.names) > 10


def rows(**columns: Any) -> np.ndarray:
    made = np.zeros(30, ROW)
    made["n"], made["time"] = 1, NOW
    for name, values in columns.items():
        made[name] = values
    return made


def turns(*own: Turn) -> Threads:
    made = Threads()
    for turn in own:
        made.put(turn)
    return made


def record(
    own: np.ndarray = NO_ROWS, threads: Threads | None = None, progress: Progress | None = None, **settings: Any
) -> bytes:
    return encode_facts(Facts(own, settings.get("projects", ()), threads or Threads(), Names(), progress), 0)


def progress(**fields: Any) -> bytes:
    return record(progress=Progress(**fields))


def packed(count: int, columns: Any) -> bytes:
    return module._encode(module._Record(module.VERSION, 0, count, columns, [], b"", None, None))


PLACE = bytes(15)
COLUMNS = pack_rows(rows(id=np.arange(30)))
FOREIGN: dict[str, tuple[bytes | None, bytes | None]] = {
    "no key": (None, record()),
    "another key": (b"hello", record()),
    "nothing": (KEY, None),
    "empty": (KEY, b""),
    "a line": (KEY, b"hello world"),
    "deep": (KEY, b"\x91" * 100_000),
    "of another partition": (KEY, encode_facts(Facts(NO_ROWS, (), Threads(), Names(), None), 1)),
    "of another version": (KEY, record().replace(bytes((module.VERSION,)), b"\x63", 1)),
    "bytes behind it": (KEY, record() + b"x"),
    "a time before 1970": (KEY, record(rows(time=-1))),
    "a time after all": (KEY, record(rows(time=LATEST))),
    "a code that nobody has": (KEY, record(rows(code=255))),
    "a kind that nobody has": (KEY, record(rows(kind=255))),
    "an unknown flag": (KEY, record(rows(flags=64))),
    "an unknown artefact": (KEY, record(rows(artefact=99))),
    "n of 2": (KEY, record(rows(n=2))),
    "n of 0": (KEY, record(rows(n=0))),
    "n of -128": (KEY, record(rows(n=-128))),
    "a project without a name": (KEY, record(rows(project=1, flags=WATCHED))),
    "a project that is not watched": (KEY, record(rows(project=1), projects=("olmo",))),
    "more rows than there are": (KEY, packed(31, COLUMNS)),
    "no rows": (KEY, packed(-1, COLUMNS)),
    "billions of rows": (KEY, packed(1 << 31, COLUMNS)),
    "a column too few": (KEY, packed(30, COLUMNS[1:])),
    "a column of an unknown form": (KEY, packed(30, [(9, b""), *COLUMNS[1:]])),
    "few rows of another length": (KEY, packed(3, [(packing.RAW, bytes(4 * ROW.itemsize))])),
    "a turn that is a row": (KEY, record(threads=turns(Turn(1, 2, MERGED << 1, NOW, 3, PLACE)))),
    "a turn without a place": (KEY, record(threads=turns(Turn(1, 2, ACCEPTED << 1, NOW, 3)))),
    "a turn of no time": (KEY, record(threads=turns(Turn(1, 2, ACCEPTED << 1, LATEST, 3, PLACE)))),
    "a turn of no project": (KEY, record(threads=turns(Turn(1, 2, ACCEPTED << 1, NOW, 3, PLACE + b"\xff")))),
    "progress before all": (KEY, progress(offset=-2)),
    "progress of no time": (KEY, progress(offset=1, front=LATEST)),
    "activities below 0": (KEY, progress(offset=1, activities=-1)),
    "a mark below 0": (KEY, progress(offset=1, feeds={"archive": Feed(mark=-7)})),
    "covered backwards": (KEY, progress(offset=1, feeds={"archive": Feed(covered={"github": [(5, 1)]})})),
    "covered twice": (KEY, progress(offset=1, feeds={"archive": Feed(covered={"github": [(0, 5), (3, 9)]})})),
    "covered elsewhere": (KEY, progress(offset=1, feeds={"archive": Feed(covered={"elsewhere": [(0, 5)]})})),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_no_worker_can_have_written_is_foreign(kind: str) -> None:
    with pytest.raises(Foreign):
        read_facts(0, *FOREIGN[kind])


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_changed_in_a_record_no_reader_stumbles(seed: int, written: list[tuple[int, Facts, bytes]]) -> None:
    """Bytes that are flipped, cut off, added or put elsewhere either are seen to be foreign, or read as something."""
    random = Random(seed)
    counts = [Count(number) for number in range(PARTITIONS)]
    outcomes = Counter[str]()
    for partition, _, value in written * 3:
        data = bytearray(value)
        place = random.randrange(len(data))
        match random.randrange(6):
            case 0:
                data[place] ^= 1 << random.randrange(8)
            case 1:
                del data[place:]
            case 2:
                data += bytes(random.randrange(1, 20))
            case 3:
                data[place : place + 8] = b"\xff" * 8
            case 4:
                data[place : place + 4] = bytes(4)
            case 5:
                partition = random.randrange(PARTITIONS)
        try:
            facts = read_facts(partition, KEY, bytes(data))
        except Foreign:
            outcomes["foreign"] += 1
            continue
        outcomes["read"] += 1
        counts[partition].learn([facts])
    assert min(outcomes["foreign"], outcomes["read"]) > 10
    for count in counts:
        read_facts(count.number, KEY, encode_facts(count.checkpoint(), count.number))


def test_a_progress_that_goes_back_is_passed_over() -> None:
    count = Count(0)
    count.learn([read_facts(0, KEY, progress(offset=7, activities=9))])
    count.learn([read_facts(0, KEY, progress(offset=3, activities=5))])
    assert (count.progress.offset, count.progress.activities) == (7, 9)


@pytest.mark.parametrize(
    "column",
    [
        np.arange(100, dtype="<i8") * 1_000_000 + NOW,
        np.arange(100, dtype="<i8") * 1_001 + NOW,
        np.zeros(100, "<i8"),
        np.array([0, LATEST - 1] * 50, "<i8"),
    ],
)
def test_times_are_packed_and_unpacked(column: np.ndarray) -> None:
    how, data = packing.pack_integers(column)
    assert (packing.unpack(how, data, len(column), column.dtype) == column).all()


@pytest.mark.parametrize("pack", [packing.pack_raw, packing.pack_sparse, packing.pack_runs, packing.pack_table])
@pytest.mark.parametrize("kind", ["mixed", "few", "sorted", "zero", "constant", "one", "none"])
def test_every_column_is_unpacked_as_it_was(pack: Any, kind: str) -> None:
    random = np.random.default_rng(1)
    column = {
        "mixed": random.integers(0, 1 << 63, 200, dtype=np.uint64) * np.uint64(2),
        "few": random.choice(np.array([0, 0, 5, (1 << 64) - 1], np.uint64), 200),
        "sorted": np.sort(random.integers(0, 9, 200, dtype=np.uint64)),
        "zero": np.zeros(200, np.uint64),
        "constant": np.full(200, 7, np.uint64),
        "one": np.array([3], np.uint64),
        "none": np.empty(0, np.uint64),
    }[kind]
    for own in (column, column.astype("<u4"), column.astype("<u2")):
        how, data = pack(own)
        assert (packing.unpack(how, data, len(own), own.dtype) == own).all()
        for cut in range(len(data)):
            with pytest.raises(packing.Unreadable):
                packing.unpack(how, data[:cut], len(own), own.dtype)
