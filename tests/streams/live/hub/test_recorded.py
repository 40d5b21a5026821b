"""Recorded answers of the real Hub are read without a dead letter."""

import csv
import gzip
import io
import json
from collections import Counter
from typing import Any

from streams.identities import Identities
from streams.live.hub.activities import HubActivities
from streams.live.hub.shapes import bases_of, read_commit, read_listed
from streams.times import parse_time
from tests.simulator.recorded import recorded
from tests.streams.made import KEY, NOW, WATCHLIST

FOLDER = "hf-commits-discussions"


def activities() -> HubActivities:
    return HubActivities(Identities(KEY, WATCHLIST, platform="huggingface"), KEY)


def rows(content: bytes) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_daily_listings() -> None:
    make = activities()
    count = 0
    for path in sorted(recorded("hf-daily-snapshots-2026-08").glob("*.json.gz")):
        for record in json.loads(gzip.decompress(path.read_bytes()))["models"]:
            listed = read_listed(json.dumps(record).encode())
            place = make.target("model", listed)
            assert (place.repository.name, listed.likes, listed.downloads) == (
                record["id"],
                record["likes"],
                record["downloads"],
            )
            if listed.created_at:
                make.created(place, listed, parse_time(listed.created_at), NOW)
            count += 1
    assert count > 4_000


def test_records_of_a_family_of_models() -> None:
    make = activities()
    records: list[dict[str, Any]] = []
    for row in rows(gzip.decompress(next(recorded("hf-model-tree-2025").glob("*finetunes*.csv.gz")).read_bytes())):
        records.append(json.loads(row["metadata"]))
    relations: Counter[str | None] = Counter()
    for record in records:
        # The record is a dump of the library's object, which names two fields differently from the API.
        record["createdAt"] = record.pop("created_at")
        listed = read_listed(json.dumps(record).encode())
        place = make.target("model", listed)
        for base, relation in bases_of(listed)[:1]:
            derived = make.derived(
                place, listed, make.target("model", base), relation, parse_time(listed.created_at or ""), NOW
            )
            assert derived.family == base.id
            relations[relation] += 1
    assert len(records) > 50
    assert relations["finetune"] > 50
    assert None not in relations


def test_commits() -> None:
    make = activities()
    names = ("safetensors_commits_by_tool_both.csv.gz", "safetensors_commits_not_by_tool_legacy.csv")
    contents = [recorded(f"{FOLDER}/{name}").read_bytes() for name in names]
    commits = rows(gzip.decompress(contents[0])) + rows(contents[1])
    ids = set()
    for row in commits:
        answer = {
            "id": row["commit_hash"],
            "date": row["date"].replace(" ", "T") + ".000Z",
            "authors": [{"user": row["author"]}],
        }
        place = make.target("model", read_listed(json.dumps({"id": row["repo_url"]}).encode()))
        activity = make.commit(place, read_commit(json.dumps(answer).encode()), NOW)
        assert row["author"] not in activity.id.split(":")
        ids.add(activity.id)
    assert len(commits) > 900
    assert len(ids) == len({(row["repo_url"], row["commit_hash"]) for row in commits})
