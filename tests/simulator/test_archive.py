import gzip
import json
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zstandard
from click.testing import CliRunner

from simulator.__main__ import main
from simulator.archive import GARBAGE, ArchivePlan, Packing, write
from simulator.clock import DAY, HOUR, SECOND, micros
from simulator.stream import START
from simulator.truth import StreamTruth


def written(folder: Path, **changes: Any) -> tuple[list[Path], StreamTruth]:
    return write(folder, ArchivePlan(start=START + 8 * HOUR, **{"events": 400, "hub_events": 100, **changes}))


def read(path: Path) -> list[bytes]:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if path.suffix == ".zst":
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return content.splitlines()


def test_files_are_named_by_their_hours_which_are_not_padded(tmp_path: Path) -> None:
    paths, _ = written(tmp_path, hours=3)
    names = [path.name for path in paths]
    assert names[0::2] == ["2024-05-01-8.json.gz", "2024-05-01-9.json.gz", "2024-05-01-10.json.gz"]
    assert names[1::2] == [f"2024-05-01-{hour}.activities.ndjson.gz" for hour in (8, 9, 10)]


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_every_packing_holds_the_same_lines(tmp_path: Path, packing: Packing) -> None:
    (tmp_path / "plain").mkdir()
    plain, _ = written(tmp_path / "plain", packing="plain", garbage=5)
    packed, _ = written(tmp_path, packing=packing, garbage=5)
    assert [read(path) for path in packed] == [read(path) for path in plain]


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, _ = written(tmp_path)
    second, _ = written(tmp_path / "again")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_as_many_lines_as_wished_and_their_doubles_are_written(tmp_path: Path) -> None:
    paths, truth = written(tmp_path, hours=4, duplicates=0.1, future=0.0, hub_events=0)
    ids = [json.loads(line)["id"] for path in paths for line in read(path)]
    assert len(set(ids)) == 1_600
    assert 0.05 < len(ids) / 1_600 - 1 < 0.15
    assert truth.duplicates >= len(ids) - 1_600


def test_doubles_stand_in_later_files_too(tmp_path: Path) -> None:
    paths, _ = written(tmp_path, hours=4, duplicates=0.1, hub_events=0)
    files = [{json.loads(line)["id"] for line in read(path)} for path in paths]
    assert files[0] & (files[1] | files[2] | files[3])


def test_a_plan_without_disorder_doubles_lateness_and_future_keeps_to_its_hours(tmp_path: Path) -> None:
    _, truth = written(tmp_path, hours=2, duplicates=0, disorder_hours=0, late=0, future=0)
    times = [deed.occurred_at for deed in truth.deeds.values()]
    assert min(times) >= START + 8 * HOUR
    assert max(times) < START + 10 * HOUR
    assert truth.duplicates == 0
    assert not truth.dead_letters


def test_lines_are_late_out_of_order_and_stamped_in_the_future(tmp_path: Path) -> None:
    _, truth = written(tmp_path, events=3_000, late=0.05, future=0.05, disorder_hours=3)
    ages = [START + 8 * HOUR - deed.occurred_at for deed in truth.deeds.values()]
    assert 0.03 < sum(3 * DAY - HOUR < age < 20 * DAY for age in ages) / len(ages) < 0.07
    assert 0.05 < sum(0 < age < 3 * HOUR for age in ages) / len(ages) < 0.15
    assert 0.01 < sum(age < -HOUR for age in ages) / len(ages) < 0.04
    assert min(ages) > -2 * DAY
    assert truth.dead_letters["future"] > 30


def test_an_archive_is_known_up_to_the_end_of_its_last_hour(tmp_path: Path) -> None:
    _, truth = written(tmp_path, hours=2, events=3, hub_events=0, future=0)
    assert truth.front == START + 10 * HOUR - 1


def test_garbage_of_every_kind_is_put_aside_by_its_reason(tmp_path: Path) -> None:
    _, truth = written(tmp_path, garbage=2 * len(GARBAGE), future=0)
    assert truth.dead_letters == Counter(2 * [reason for _, reason in GARBAGE])


def test_neighbours_stand_out_of_order(tmp_path: Path) -> None:
    paths, _ = written(tmp_path, duplicates=0, disorder_hours=0, late=0, future=0)
    stamps = [json.loads(line)["created_at"] for line in read(paths[0])]
    turned = sum(a > b for a, b in pairwise(stamps))
    assert 0.05 < turned / len(stamps) < 0.5


def test_a_future_stamp_is_a_full_second_beyond_the_day_or_well_within(tmp_path: Path) -> None:
    # Fractions are cut off when an event is written: what was meant as a dead letter must stay one.
    paths, truth = written(tmp_path, future=1.0, duplicates=0, hub_events=0)
    end = START + 9 * HOUR
    stamps = [micros_of(json.loads(line)["created_at"]) for line in read(paths[0])]
    beyond = [stamp for stamp in stamps if stamp > end + DAY]
    assert len(beyond) == truth.dead_letters["future"] > 0
    assert min(beyond) >= end + DAY + SECOND


def micros_of(stamp: str) -> int:
    return micros(datetime.fromisoformat(stamp))


def test_the_command_writes_hours_and_their_truth(tmp_path: Path) -> None:
    arguments = [
        "hour",
        "--out",
        str(tmp_path / "new"),
        "--events",
        "200",
        "--hub-events",
        "50",
        "--start",
        "2024-05-01T12",
        "--garbage",
        "3",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    truth = json.loads((tmp_path / "new.truth.json").read_text())
    assert truth["input"]["files"] == 2
    assert truth["input"]["activities"] >= 200
    names = {measurement["name"] for measurement in truth["measurements"]}
    assert {"nomadwatch_activity", "nomadwatch_intensity", "nomadwatch_mann_whitney_u"} <= names
    assert "2024-05-01-12.json.gz" in result.output
    assert "new.truth.json" in result.output


@pytest.mark.parametrize("start", ["noon", "2024-05-01T12:30"])
def test_a_start_that_is_no_full_hour_is_refused_with_advice(tmp_path: Path, start: str) -> None:
    result = CliRunner().invoke(main, ["hour", "--out", str(tmp_path), "--start", start])
    assert result.exit_code == 2
    assert "write it like 2024-05-01T12" in result.output


def test_a_folder_that_cannot_be_made_is_an_error_with_advice(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["hour", "--out", str(tmp_path / "file" / "inside"), "--events", "1"])
    assert result.exit_code == 1
    assert "choose another folder" in result.output
