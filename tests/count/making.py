"""Activities, batches and what `count` makes of them, without a broker."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import strategies as st

from agents.count.partition import Count
from agents.facts import BOT, STATED, decode_facts, encode_facts
from simulator.minutes import minutes
from streams.activity import ARCHIVE, ARTEFACTS, DAY, HOUR, MINUTE, Activity, Batch, partition_of
from streams.codes import names_of

PARTITIONS = 4
NOW = 20_000 * DAY
OPENER, MERGER, OTHER = 16, 32, 48

# The records of each partition.
Topic = list[list[bytes]]
# {(scope, minute): {what is counted: by what}}
Minutes = dict[tuple[str, int], dict[str, Counter[Any]]]


def batches(activities: list[Activity], random: Random) -> Iterator[tuple[int, Batch]]:
    """(partition, batch) in order of arrival, marked like a reader of hours: an hour is complete when it has ended."""
    buffers: list[list[Activity]] = [[] for _ in range(PARTITIONS)]
    numbers = [0] * PARTITIONS
    hour = activities[0].ingested_at // HOUR

    def send(partition: int, mark: int | None = None) -> tuple[int, Batch]:
        own, buffers[partition] = buffers[partition], []
        numbers[partition] += 1
        return partition, Batch(feed=ARCHIVE, activities=own, sequence=numbers[partition] - 1, complete_to=mark)

    for activity in activities:
        if activity.ingested_at // HOUR > hour:
            hour = activity.ingested_at // HOUR
            yield from (send(partition, hour * HOUR) for partition in range(PARTITIONS))
        partition = partition_of(activity.repo_id, PARTITIONS)
        buffers[partition].append(activity)
        if len(buffers[partition]) >= random.randrange(1, 300):
            yield send(partition)
    yield from (send(partition, hour * HOUR + HOUR) for partition in range(PARTITIONS))


def activity(number: int, at: int, **fields: object) -> Activity:
    base = {
        "id": f"github:PushEvent:{number}",
        "platform": "github",
        "kind": "push",
        "occurred_at": at,
        "ingested_at": at,
    }
    return Activity(**{**base, "repo_id": 5, "repo": "o/r", "owner": "o", "actor": 7, **fields})  # type: ignore[arg-type]


def feed(count: Count, *batches_: Batch) -> None:
    for batch in batches_:
        if count.advance(count.progress.offset + 1, batch):
            count.take(batch)


def pull(action: str, at: int = NOW, *, thread: int | None = 7, number: int = 0, **fields: Any) -> Activity:
    identity = f"github:PullRequestEvent:{number or {'opened': 1, 'merged': 2, 'accepted': 2}[action]}"
    actor = {"opened": OPENER, "merged": MERGER, "accepted": OTHER}[action]
    fields = {"id": identity + (":accepted" if action == "accepted" else ""), "actor": actor, **fields}
    return activity(0, at, **{"kind": "pull_request", "action": action, "thread": thread, **fields})


# A small world: few threads, so that everything meets; ids are unique, and what the source names repeats the merge.
PLACES = st.tuples(st.sampled_from([5 << 32, 6 << 32, 9 << 32]), st.integers(1, 2))
MOMENTS = st.one_of(st.integers(0, 5), st.integers(0, 3 * 60), st.integers(0, 9 * 24 * 60)).map(
    lambda minutes: NOW + minutes * MINUTE
)
PEOPLE = st.tuples(st.sampled_from([OPENER, MERGER, OTHER]), st.booleans())
EVENTS = st.tuples(
    st.sampled_from(["opened", "merged", "merged", "named only"]), PLACES, MOMENTS, PEOPLE, st.none() | PEOPLE
)


def wire(events: list[Any]) -> list[dict[str, Any]]:
    found = []
    for number, (action, (repo_id, thread), at, (actor, bot), named) in enumerate(events):
        project = {"project": "olmo"} if repo_id == 5 << 32 else {}
        one = {
            "id": f"github:PullRequestEvent:{number}",
            "platform": "github",
            "kind": "pull_request",
            "occurred_at": at,
            "ingested_at": at,
        }
        one |= {
            "repo_id": repo_id,
            "repo": f"o/{repo_id >> 32}",
            "owner": "o",
            "actor": actor,
            "bot": bot,
            "thread": thread,
            **project,
        }
        if action != "named only":
            found.append({**one, "action": action})
        if action == "named only" or (action == "merged" and named):
            actor, bot = named or (actor, bot)
            found.append({**one, "id": one["id"] + ":accepted", "action": "accepted", "actor": actor, "bot": bot})
    return found


def run(log: list[tuple[int, Batch]], random: Random, *, checkpoints: float = 0.1, crashes: float = 0.0) -> Topic:
    """The committed records of each partition; a crash loses everything since the last checkpoint."""
    committed: Topic = [[] for _ in range(PARTITIONS)]
    for number, records in enumerate(committed):
        own = [batch for partition, batch in log if partition == number]
        count, offset = Count(number), 0
        while offset < len(own):
            if count.advance(offset, own[offset]):
                count.take(own[offset])
            offset += 1
            if random.random() < checkpoints:
                records.append(encode_facts(count.checkpoint(), number))
                count.tidy()
            if random.random() < crashes:
                count = Count.restore(number, map(decode_facts, records))
                offset = count.progress.offset + 1
        records.append(encode_facts(count.checkpoint(), number))
    return committed


def added_up(records: list[bytes]) -> Minutes:
    """By scope and minute what the rows of a partition add up to; whatever falls below zero on the way is an error."""
    sums: Minutes = defaultdict(
        lambda: {name: Counter() for name in ("activities", "commits", "projects", "repositories", "people")}
    )
    for facts in map(decode_facts, records):
        for row in facts.rows:
            platform, feature = names_of(int(row["code"]))
            n, bot = int(row["n"]), bool(row["flags"] & BOT)
            for scope in ("all", "watched") if row["project"] else ("all",):
                own = sums[scope, int(row["time"]) // MINUTE]
                own["activities"][platform, feature, "bot" if bot else "human"] += n
                if not bot:
                    own["repositories"][int(row["repository"]), platform, feature] += n
                    own["people"][int(row["actor"]), platform, feature] += n
                    if row["flags"] & STATED:
                        own["commits"][platform] += n * int(row["commits"])
                    if row["project"]:
                        project = facts.projects[int(row["project"]) - 1]
                        own["projects"][project, platform, ARTEFACTS[int(row["artefact"])], feature] += n
                assert all(value >= 0 for counter in own.values() for value in counter.values()), (
                    "withdrawn what was never sent"
                )
    return sums


def compare(committed: Topic, activities: list[dict[str, Any]], *, whole: bool = True) -> None:
    brute = minutes(activities, PARTITIONS)
    for number, records in enumerate(committed):
        sums = added_up(records)
        wanted = {(p.scope, p.start // MINUTE): own for p, own in brute.items() if p.partition == number}
        for place, own in sums.items():
            true = wanted.pop(place, None)
            found = {name: {key: n for key, n in counter.items() if n} for name, counter in own.items()}
            if true is None:
                assert not any(found.values()), place
                continue
            assert found["activities"] == dict(true.activities), place
            assert found["repositories"] == dict(true.repositories), place
            assert found["people"] == dict(true.people), place
            assert found["projects"] == dict(true.projects), place
            assert found["commits"] == {key: n for key, n in true.commits.items() if n}, place
        if whole:
            assert not [place for place, own in wanted.items() if own.activities], "nothing is missing"


def compare_names(committed: Topic, activities: list[dict[str, Any]]) -> None:
    """The newest name of each repository in which people did something is the one that was published last."""
    wanted: dict[int, tuple[int, str]] = {}
    for minute in minutes(activities, PARTITIONS).values():
        for key, shown in minute.names.items():
            wanted[key] = max(shown, wanted.get(key, shown))
    found: dict[int, tuple[int, str]] = {}
    for records in committed:
        for facts in map(decode_facts, records):
            for key, met, name in facts.names.get_all():
                found[key] = max((met, name), found.get(key, (met, name)))
    for key, (_, name) in wanted.items():
        assert key in found, (key, name)
        assert found[key][1] == name
