from collections import Counter

from simulator.accepted import credited
from simulator.clock import DAY, HOUR, MINUTE
from simulator.deed import FEATURES, PLATFORMS
from simulator.minutes import Place, minutes
from simulator.stream import START, five_days
from simulator.wire import deed, meaning


def test_the_same_seed_gives_the_same_days_in_the_order_of_arrival() -> None:
    days = five_days(1, 2_000)
    assert days == five_days(1, 2_000)
    assert days != five_days(2, 2_000)
    arrivals = [activity["ingested_at"] for activity in days]
    assert arrivals == sorted(arrivals)
    assert arrivals[0] == START
    assert arrivals[-1] > START + 4.9 * DAY


def test_days_hold_both_platforms_every_feature_bots_and_watched_projects() -> None:
    days = five_days(1, 5_000)
    assert {activity["platform"] for activity in days} == set(PLATFORMS)
    assert {meaning(activity["kind"], activity.get("action")) for activity in days} == set(FEATURES)
    assert 0.05 < sum(activity.get("bot", False) for activity in days) / len(days) < 0.2
    assert 0.03 < sum("project" in activity for activity in days) / len(days) < 0.1
    assert len({(activity["repo_id"] >> 32) % 8 for activity in days}) == 8


def test_lateness_disorder_and_future_keep_to_their_shares() -> None:
    ages = [
        activity["ingested_at"] - activity["occurred_at"]
        for activity in five_days(3, 20_000, duplicates=0, late=0.02, future=0.01)
    ]
    assert 0.015 < sum(age >= 3 * DAY for age in ages) / len(ages) < 0.025
    assert 0.005 < sum(age < 0 for age in ages) / len(ages) < 0.015
    assert 0.03 < sum(HOUR < age < 6 * HOUR for age in ages) / len(ages) < 0.12
    assert not any(6 * HOUR < age < 3 * DAY for age in ages)
    assert max(ages) < 20 * DAY
    assert min(ages) > -20 * HOUR


def test_repeated_activities_keep_their_time_and_come_later() -> None:
    days = five_days(4, 5_000, duplicates=0.1)
    first = {}
    repeated = 0
    for activity in days:
        earlier = first.setdefault(activity["id"], activity)
        if earlier is not activity:
            repeated += 1
            assert {**activity, "ingested_at": 0} == {**earlier, "ingested_at": 0}
    assert len(first) == 5_000
    assert 0.08 < repeated / 5_000 < 0.12


def test_all_minutes_together_hold_everything_once() -> None:
    days = five_days(5, 3_000)
    found = minutes(days, partitions=4)
    distinct = {activity["id"]: deed(activity) for activity in days}
    for scope in ("all", "watched"):
        expected = [done for done in credited(distinct.values()) if scope == "all" or done.project is not None]
        people = [done for done in expected if not done.bot]
        own = [minute for place, minute in found.items() if place.scope == scope]
        assert sum((minute.repositories for minute in own), Counter()) == Counter(
            (d.repository, d.platform, d.feature) for d in people
        )
        assert sum((minute.people for minute in own), Counter()) == Counter(
            (d.actor, d.platform, d.feature) for d in people
        )
        assert sum(minute.activities.total() for minute in own) == len(expected)
        assert sum(minute.commits.total() for minute in own) == sum(d.commits or 0 for d in people)
        assert sum(minute.projects.total() for minute in own) == sum(d.project is not None for d in people)


def test_a_minute_holds_its_own_time_and_partition() -> None:
    days = five_days(6, 1_000)
    found = minutes(days, partitions=4)
    for place, minute in list(found.items())[::40]:
        own = [
            done
            for done in credited({activity["id"]: deed(activity) for activity in days}.values())
            if place.start <= done.occurred_at < place.start + MINUTE
            and (done.repository >> 32) % 4 == place.partition
            and (place.scope == "all" or done.project is not None)
        ]
        assert own
        assert minute.activities.total() == len(own)
        newest = {
            done.repository: max((d.occurred_at, d.name) for d in own if d.repository == done.repository and not d.bot)
            for done in own
            if not done.bot
        }
        assert minute.names == newest


def test_a_minute_remembers_the_newest_name() -> None:
    activity = {"platform": "github", "kind": "push", "repo_id": 9, "actor": 1}
    older = {**activity, "id": "a", "occurred_at": START, "repo": "o/old"}
    newer = {**activity, "id": "b", "occurred_at": START + 1, "repo": "o/new"}
    for order in ([older, newer], [newer, older]):
        assert minutes(order, 1)[Place("all", 0, START)].names == {9: (START + 1, "o/new")}


def test_days_hold_merges_of_every_kind_of_knowledge_about_their_openers() -> None:
    arrived = {activity["id"]: deed(activity) for activity in five_days(7, 8_000)}
    accepted = {done.id: done for done in credited(arrived.values()) if done.feature == "accepted"}
    named = {identity: arrived[identity] for identity in accepted if identity in arrived}
    assert len(accepted) - len(named) > 20, "known from the opening alone"
    assert sum(done.actor != accepted[identity].actor for identity, done in named.items()) > 20, "named wrongly"
    assert sum(done == accepted[identity] for identity, done in named.items()) > 20, "known from the merge's line alone"
    merges = [done for done in arrived.values() if done.turn == "merged"]
    assert sum(f"{merge.id}:accepted" not in accepted for merge in merges) > 10, "unknown"
