"""The local cache: with it a restart reads only what follows, and it never makes a figure other than the topic does."""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest

from agents.count import cache as module
from agents.count import ids
from agents.count.cache import Cache, Place, checksum
from agents.count.partition import Count
from agents.facts import encode_facts, read_facts
from simulator.stream import five_days
from streams.activity import Activity, Batch
from tests.count.making import PARTITIONS, batches, compare

TOPIC = "facts"


class Life:
    """One partition with its topic and its cache, started again as a worker would."""

    def __init__(self, folder: Path, number: int = 0) -> None:
        self.folder, self.number = folder, number
        self.topic: list[bytes] = []
        self.cache = Cache(str(folder), TOPIC, number)
        self.count = Count(number, self.cache.folder)
        self.from_cache = 0

    def checkpoint(self) -> None:
        self.topic.append(encode_facts(self.count.checkpoint(), self.number))
        self.count.tidy()

    def write(self) -> None:
        """Write the cache, just after a checkpoint."""
        self.cache.write(self.count, Place(len(self.topic) - 1, checksum(self.topic[-1])))

    def crash(self) -> None:
        self.cache.close()
        self.cache = Cache(str(self.folder), TOPIC, self.number)
        begin = 0
        self.count = Count(self.number, self.cache.folder)
        if (kept := self.cache.load()) is not None:
            count, place = kept
            if place.offset < len(self.topic) and checksum(self.topic[place.offset]) == place.checksum:
                self.count, begin = count, place.offset + 1
                self.from_cache += 1
            else:
                self.cache.refuse("another topic")
        self.count.learn([read_facts(self.number, b"facts", value) for value in self.topic[begin:]])


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days go to files although they have few ids."""
    monkeypatch.setattr(ids, "_WORTH", 20)


@pytest.mark.parametrize("seed", range(3))
def test_crashes_anywhere_with_caches_of_any_age_change_no_figure(seed: int, small_files: None, tmp_path: Path) -> None:
    stream = five_days(seed=seed, n=5_000)
    random = Random(seed)
    log = list(batches(msgspec.convert(stream, list[Activity]), Random(1)))
    lives = [Life(tmp_path, number) for number in range(PARTITIONS)]
    files = 0
    for life in lives:
        own = [batch for partition, batch in log if partition == life.number]
        offset = 0
        while offset < len(own):
            if life.count.advance(offset, own[offset]):
                life.count.take(own[offset])
            offset += 1
            if random.random() < 0.1:
                life.checkpoint()
                if random.random() < 0.3:
                    life.write()
                    files += len(list(tmp_path.rglob("*.ids")))
            if random.random() < 0.02:
                life.crash()
                offset = life.count.progress.offset + 1
        life.checkpoint()
    assert files, "days went to files"
    assert sum(life.from_cache for life in lives) > 5
    distinct = {one["id"]: one for one in reversed(stream)}
    compare([life.topic for life in lives], list(distinct.values()))
    progress = [life.count.progress for life in lives]
    assert sum(each.activities for each in progress) == len(distinct)
    assert sum(each.duplicates for each in progress) == len(stream) - len(distinct)


def lived(folder: Path, n: int = 2_000) -> tuple[Life, list[Batch]]:
    """A partition that has counted some days, with a cache as of half of them, and its batches."""
    stream = msgspec.convert(five_days(seed=5, n=n, late=0), list[Activity])
    log = [batch for partition, batch in batches(stream, Random(1)) if partition == 0]
    life = Life(folder)
    for offset, batch in enumerate(log):
        life.count.advance(offset, batch)
        life.count.take(batch)
        if offset % 10 == 9:
            life.checkpoint()
        if offset == len(log) // 20 * 10 - 1:
            life.write()
    life.checkpoint()
    return life, log


def totals(life: Life) -> tuple[object, ...]:
    return life.count.progress.activities, life.count.progress.totals, len(life.count.names)


def again(life: Life, log: list[Batch]) -> Counter[str]:
    """What becomes of all batches if they come once more, in other batches."""
    before = msgspec.structs.replace(life.count.progress)
    for offset, batch in enumerate(log, before.offset + 1):
        own = msgspec.structs.replace(batch, feed="github", sequence=None, complete_to=None)
        life.count.advance(offset, own)
        life.count.take(own)
    life.checkpoint()
    now = life.count.progress
    return Counter(activities=now.activities - before.activities, duplicates=now.duplicates - before.duplicates)


def damage(kind: str, folder: Path) -> None:
    snapshot, held = folder / "snapshot", sorted(folder.glob("*.ids"))
    assert held, "there are files of ids"
    match kind:
        case "all of it is deleted":
            shutil.rmtree(folder)
        case "the snapshot is deleted":
            snapshot.unlink()
        case "the snapshot is cut off":
            snapshot.write_bytes(snapshot.read_bytes()[:-7])
        case "the snapshot is empty":
            snapshot.write_bytes(b"")
        case "a byte of the snapshot is another":
            data = bytearray(snapshot.read_bytes())
            data[len(data) // 2] ^= 1
            snapshot.write_bytes(data)
        case "a file of ids is deleted":
            held[0].unlink()
        case "a file of ids is cut off":
            held[0].write_bytes(held[0].read_bytes()[:-8])
        case "a byte of a file of ids is another":
            data = bytearray(held[-1].read_bytes())
            data[9] ^= 16
            held[-1].write_bytes(data)
        case "it is of another partition":
            shutil.copy(folder.parent / "1" / "snapshot", snapshot)


KINDS = [
    "all of it is deleted",
    "the snapshot is deleted",
    "the snapshot is cut off",
    "the snapshot is empty",
    "a byte of the snapshot is another",
    "a file of ids is deleted",
    "a file of ids is cut off",
    "a byte of a file of ids is another",
    "it is of another partition",
]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_lost_or_damaged_is_told_in_one_line_and_made_anew_from_the_topic(
    kind: str, small_files: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    life, log = lived(tmp_path)
    other = Life(tmp_path, 1)
    other.checkpoint()
    other.write()
    before = totals(life)
    damage(kind, tmp_path / "count" / "0")
    with caplog.at_level(logging.WARNING):
        life.crash()
    assert life.from_cache == 0
    assert len(caplog.messages) == (0 if kind.endswith("deleted") and "ids" not in kind else 1)
    assert totals(life) == before
    assert again(life, log) == Counter(duplicates=sum(len(batch.activities) for batch in log))


def test_a_cache_that_is_whole_is_used_and_gives_the_same(small_files: None, tmp_path: Path) -> None:
    life, log = lived(tmp_path)
    before = totals(life)
    life.crash()
    assert life.from_cache == 1
    assert totals(life) == before
    assert again(life, log) == Counter(duplicates=sum(len(batch.activities) for batch in log))


def test_a_cache_of_a_topic_that_was_made_anew_is_not_believed(small_files: None, tmp_path: Path) -> None:
    life, log = lived(tmp_path)
    life.topic = [encode_facts(Count(0).checkpoint())] * len(life.topic)
    life.crash()
    assert (life.from_cache, life.count.progress.activities) == (0, 0)
    distinct = {activity.id for batch in log for activity in batch.activities}
    assert again(life, log)["activities"] == len(distinct)


def test_what_is_counted_behind_the_last_checkpoint_is_in_no_file(small_files: None, tmp_path: Path) -> None:
    """Its ids would make duplicates of activities that no record counts."""
    life, log = lived(tmp_path)
    new = msgspec.convert(five_days(seed=6, n=500, late=0, start=log[0].activities[0].occurred_at), list[Activity])
    new = [msgspec.structs.replace(one, id=f"{one.id}/new", repo_id=one.repo_id & 0xFFFF_FFFF) for one in new]
    offset = life.count.progress.offset + 1
    batch = Batch(feed="github", activities=new)
    assert life.count.advance(offset, batch)
    life.count.take(batch)
    life.count._work()
    life.crash()
    assert life.count.progress.offset == offset - 1
    before = life.count.progress.activities
    life.count.advance(offset, batch)
    life.count.take(batch)
    life.checkpoint()
    assert life.count.progress.activities - before == len({one.id for one in new})


def test_two_workers_never_share_a_folder(tmp_path: Path) -> None:
    first, second = Cache(str(tmp_path), TOPIC, 3), Cache(str(tmp_path), TOPIC, 3)
    assert first.folder is not None
    assert second.folder is not None
    assert first.folder != second.folder
    first.close()
    third = Cache(str(tmp_path), TOPIC, 3)
    assert third.folder == tmp_path / "count" / "3"


@pytest.mark.parametrize("fails", ["ids", "snapshot"])
def test_a_full_disk_stops_nothing_but_writing_and_is_told_once(
    fails: str,
    small_files: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    life, log = lived(tmp_path)
    replace: Callable[..., None] = os.replace

    def refuse(source: Path, target: Path) -> None:
        if str(target).endswith("ids") == (fails == "ids"):
            raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr(module.os, "replace", refuse)
    with caplog.at_level(logging.WARNING):
        life.write()
        life.write()
    assert len(caplog.messages) == 1
    assert "No space left on device" in caplog.text
    assert not list(tmp_path.rglob("*.new"))
    assert again(life, log) == Counter(duplicates=sum(len(batch.activities) for batch in log))
    life.crash()
    assert life.from_cache == 1, "the last one that was written"
    monkeypatch.undo()
    with caplog.at_level(logging.WARNING):
        life.write()
    life.crash()
    assert life.from_cache == 2
    assert again(life, log) == Counter(duplicates=sum(len(batch.activities) for batch in log))


def test_files_that_no_snapshot_names_are_swept_away(small_files: None, tmp_path: Path) -> None:
    life, _ = lived(tmp_path)
    folder = tmp_path / "count" / "0"
    (folder / "17-0000000000000000.ids").write_bytes(b"x" * 80)
    life.write()
    assert not (folder / "17-0000000000000000.ids").exists()
    assert list(folder.glob("*.ids"))
