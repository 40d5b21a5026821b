"""What others write into the topic `panes`: everything that a worker writes is sound, nothing else stops whoever reads."""

from collections import Counter
from random import Random

import msgspec
import pytest

from agents.operators import sound
from agents.operators.counts import Counts
from agents.operators.names import Names
from agents.operators.pane import RecordKey
from agents.operators.partition import Partition
from agents.operators.progress import Progress, encode_progress
from agents.operators.tally import Tally
from agents.operators.window import Windows
from simulator.stream import five_days
from streams.activity import SECOND, Activity, Foreign
from tests.agents.test_partition import PARTITIONS, batches

START = 1_424_642_400
PEOPLE = f"all/0/people/hour/{START}/0-1".encode()


def tally(*keys: int) -> bytes:
    made = Tally()
    made.update(keys)
    return made.snapshot()


def names(name: str) -> bytes:
    made = Names()
    made.put(16, 100, name)
    return made.snapshot()


@pytest.fixture(scope="module")
def written() -> list[tuple[int, bytes, bytes | None]]:
    """(partition, key, value) of every record that workers write of five days, in small records, so that panes have
    many shards.
    """
    partitions = [Partition(number) for number in range(PARTITIONS)]
    random = Random(3)
    records: list[tuple[int, bytes, bytes | None]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agents.operators.pane.RECORD_BYTES", 2_000)
        for number, batch in batches(msgspec.convert(five_days(seed=5, n=4_000), list[Activity]), Random(2)):
            partition = partitions[number]
            assert partition.advance(partition.progress.offset + 1, batch)
            for _ in partition.close():
                pass
            partition.take(batch.activities)
            if random.random() < 0.05:
                records += [(number, key, value) for key, value in partition.checkpoint()]
                partition.committed()
    return records


def test_whatever_a_worker_writes_is_sound(written: list[tuple[int, bytes, bytes | None]]) -> None:
    found: Counter[str] = Counter()
    for partition, key, value in written:
        read = sound.read(partition, key, value)
        found[type(read).__name__] += 1
        if isinstance(read, RecordKey):
            assert bytes(read) == key
            found[read.summary] += 1
            found["sharded"] += read.shards > 1
    assert all(
        found[kind]
        for kind in ("Progress", "counts", "repositories", "people", "names", "ids", "threads", "sharded", "NoneType")
    )


FOREIGN: list[tuple[bytes | None, bytes | None]] = [
    (None, None),
    (None, b"x"),
    (b"", b""),
    (b"hello", b"world"),
    (b"\xff\xfe", b"\x00"),
    (b"all/0/people", tally(1)),
    # Of another partition, scope, summary, grain, time or form.
    (f"all/1/people/hour/{START}/0-1".encode(), tally(1)),
    (f"some/0/people/hour/{START}/0-1".encode(), tally(1)),
    (f"all/0/robots/hour/{START}/0-1".encode(), tally(1)),
    (f"watched/0/ids/hour/{START}/0-1".encode(), tally(1)),
    (f"all/0/people/week/{START}/0-1".encode(), tally(1)),
    (f"all/0/people/hour/{START + 1}/0-1".encode(), tally(1)),
    (b"all/0/people/hour/-3600/0-1", tally(1)),
    (b"all/0/people/hour/%d/0-1" % (3600 * 10**12), tally(1)),
    (b"all/0/people/hour/1%s/0-1" % (b"0" * 5000), tally(1)),
    (f"all/0/people/hour/{START}/1-1".encode(), tally(1)),
    (f"all/0/people/hour/{START}/0-3".encode(), tally(1)),
    (f"all/0/people/hour/{START}/0-0".encode(), tally(1)),
    (f"all/0/people/hour/{START}/0-{1 << 40}".encode(), tally(1)),
    (f"all/00/people/hour/{START}/0-1".encode(), tally(1)),
    (f"all/0/people/hour/{START}/0-1 ".encode(), tally(1)),
    (f"all/0/people/hour/{START}/0-1/2".encode(), tally(1)),
    # The right key over something else.
    (PEOPLE, b""),
    (PEOPLE, b"garbage"),
    (PEOPLE, names("a/b")),
    (PEOPLE, tally(1)[:-1]),
    (PEOPLE, tally(1) + b"x"),
    (PEOPLE, tally(1)[:8] + b"\xff" * 8 + tally(1)[16:]),
    (PEOPLE, Tally(*(array[::-1] for array in Tally.restore(tally(1, 2)).pack())).snapshot()),
    (f"all/0/counts/hour/{START}/0-1".encode(), msgspec.msgpack.encode((1, [("github/review/human", -5)]))),
    (f"all/0/counts/hour/{START}/0-1".encode(), msgspec.msgpack.encode((1, [("github/nonsense/human", 5)]))),
    (f"all/0/counts/hour/{START}/0-1".encode(), msgspec.msgpack.encode((9, []))),
    (f"all/0/counts/hour/{START}/0-1".encode(), msgspec.msgpack.encode((1, float("nan")))),
    (f"all/0/names/hour/{START}/0-1".encode(), names("a/b")[:-1] + b"\xff"),
    # Progress of another partition, unreadable, withdrawn, or with numbers that cannot be.
    (b"progress/1", encode_progress(Progress(offset=1))),
    (b"progress/00", encode_progress(Progress(offset=1))),
    (b"progress/0", None),
    (b"progress/0", b"hello world"),
    (b"progress/0", b"{}"),
    (b"progress/0", b'{"offset":' + b"[" * 100_000),
    (b"progress/0", encode_progress(Progress(offset=10**30))),
    (b"progress/0", encode_progress(Progress(offset=1, front=10**19))),
    (b"progress/0", encode_progress(Progress(offset=1, activities=-1))),
    (b"progress/0", b'{"offset":1,"totals":{}}'),
    (b"progress/0", b'{"offset":1,"feeds":{"f":{"covered":{"github":[[5,1]]}}}}'),
    (b"progress/0", b'{"offset":1,"feeds":{"f":{"mark":-7}}}'),
]


@pytest.mark.parametrize(("key", "value"), FOREIGN)
def test_what_no_worker_can_have_written_is_foreign(key: bytes | None, value: bytes | None) -> None:
    with pytest.raises(Foreign):
        sound.read(0, key, value)


def test_a_single_shard_of_many_replaces_nothing() -> None:
    counts = Counts()
    counts.add("github/review/human", 3)
    records = {
        b"all/0/counts/hour/%d/0-1" % START: counts.snapshot(),
        PEOPLE: tally(16 | 4, 32 | 4),
        b"all/0/repositories/hour/%d/0-1" % START: tally(64 | 4),
    }
    foreign = {b"all/0/people/hour/%d/3-8" % START: tally(48 | 4)}
    progress = Progress(offset=1, front=(START + 1800) * SECOND)
    windows = Windows(1)
    for key, value in (records | foreign).items():
        windows.put(0, RecordKey.parse(key), value)
    windows.commit(0, progress)
    content = windows._panes["all"][0].content(("hour", START * SECOND))
    assert [keys.tolist() for keys, _ in content.people] == [[20, 36]]
    restored = Partition.restore(0, [*(records | foreign).items(), (b"progress/0", encode_progress(progress))])
    assert restored.panes["all", "hour", START * SECOND].people.shards[0].get() == {20: 1, 36: 1}


def test_records_that_no_progress_follows_can_be_dropped() -> None:
    windows = Windows(2)
    windows.put(1, RecordKey.parse(b"all/1/people/hour/%d/0-1" % START), tally(20))
    assert (windows.pending, windows.unfinished) == (True, [1])
    windows.drop_unfinished(1)
    assert (windows.pending, windows.unfinished) == (False, [])


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_changed_in_a_record_no_reader_stumbles(
    seed: int, written: list[tuple[int, bytes, bytes | None]]
) -> None:
    """Bytes that are flipped, cut off, added or taken from another record either are seen to be foreign, or read as
    something.
    """
    random = Random(seed)
    windows = Windows(PARTITIONS)
    tables: list[dict[bytes, bytes]] = [{} for _ in range(PARTITIONS)]
    passed = 0
    for partition, key, value in written:
        if random.random() < 0.02:
            key, value = _changed(random, key, value, random.choice(written))
        try:
            read = sound.read(partition, key, value)
        except Foreign:
            passed += 1
            continue
        if value is None:
            tables[partition].pop(key, None)
            continue
        tables[partition][key] = value
        if isinstance(read, Progress):
            windows.commit(partition, read)
        elif read is not None:
            windows.put(partition, read, value)
        if random.random() < 0.001:
            windows.refresh()
            windows.evaluate()
    windows.refresh()
    assert windows.evaluate(final=True)
    assert passed
    for number, table in enumerate(tables):
        restored = Partition.restore(number, table.items())
        for _ in restored.close():
            pass
        restored.checkpoint()


def _changed(
    random: Random, key: bytes, value: bytes | None, other: tuple[int, bytes, bytes | None]
) -> tuple[bytes, bytes | None]:
    data = bytearray(value or b"x")
    place = random.randrange(len(data))
    match random.randrange(6):
        case 0:
            data[place] ^= 1 << random.randrange(8)
        case 1:
            del data[place:]
        case 2:
            data += bytes(random.randrange(1, 20))
        case 3:
            return key, other[2]
        case 4:
            return other[1], value
        case 5:
            data[place : place + 8] = b"\xff" * 8
    return key, bytes(data)
