"""Consumer groups: who has which partition, who may commit, what is left of them."""

import asyncio
import subprocess
import sys
from typing import Any

from aiokafka import AIOKafkaConsumer

from tests.broker.clients import eventually, soon, unique
from tests.broker.raw import Raw

_MEMBER = """
import asyncio, sys
from tests.broker.test_groups import member

async def main():
    consumer = await member(*sys.argv[1:])
    print(len(consumer.assignment()), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def member(address: str, topic: str, group: str) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=address,
        group_id=group,
        session_timeout_ms=6000,
        heartbeat_interval_ms=300,
        max_poll_interval_ms=20_000,
        enable_auto_commit=False,
    )
    await consumer.start()
    return consumer


def test_two_members_share_the_partitions_and_one_that_leaves_hands_them_over(broker: Any, make_topic: Any) -> None:
    topic, group = make_topic(4), unique("g")

    async def scenario() -> None:
        first = await member(broker.address, topic, group)
        assert len(first.assignment()) == 4
        second = await member(broker.address, topic, group)
        await soon(lambda: len(first.assignment()) == len(second.assignment()) == 2)
        assert not first.assignment() & second.assignment()
        await second.stop()
        await soon(lambda: len(first.assignment()) == 4)
        await first.stop()

    asyncio.run(scenario())


def test_a_killed_member_is_dropped_after_its_session_timeout(broker: Any, make_topic: Any) -> None:
    topic, group = make_topic(2), unique("g")

    async def scenario() -> None:
        survivor = await member(broker.address, topic, group)
        command = [sys.executable, "-W", "ignore", "-c", _MEMBER, broker.address, topic, group]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as other:  # noqa: ASYNC220 - it only starts here
            await soon(lambda: len(survivor.assignment()) == 1)
            assert other.stdout is not None
            assert await asyncio.to_thread(other.stdout.readline) == b"1\n"
            other.kill()
        await soon(lambda: len(survivor.assignment()) == 2, 15)
        await survivor.stop()

    asyncio.run(scenario())


def test_a_commit_from_a_stale_generation_or_an_unknown_member_is_refused(raw: Any, make_topic: Any) -> None:
    topic, group = make_topic(), unique("g")
    assert eventually(lambda: raw.commit(group, topic, 1) == 0)
    joined = raw.join(group)
    assert raw.sync(group, joined).assignment == b"a"
    assert raw.heartbeat(group, joined) == 0
    assert raw.commit(group, topic, 5, joined.generation_id, joined.member_id) == 0
    assert raw.commit(group, topic, 6, joined.generation_id - 1, joined.member_id) == 22
    assert raw.commit(group, topic, 6, joined.generation_id, "nobody") == 25
    assert raw.commit(group, topic, 6) == 25
    assert raw.committed(group, topic) == 5


def test_a_member_that_joins_anew_begins_another_generation(raw: Any, make_topic: Any) -> None:
    topic, group = make_topic(), unique("g")
    joined = raw.join(group)
    raw.sync(group, joined)
    again = raw.join(group, joined.member_id, b"other")
    assert again.generation_id == joined.generation_id + 1
    assert raw.heartbeat(group, joined) == 22
    assert raw.commit(group, topic, 7, again.generation_id, again.member_id) == 27
    raw.sync(group, again)
    assert raw.commit(group, topic, 7, again.generation_id, again.member_id) == 0
    assert raw.commit(group, topic, 8, joined.generation_id, joined.member_id) == 22
    assert raw.committed(group, topic) == 7


def test_an_unused_group_has_no_offsets(raw: Any, make_topic: Any) -> None:
    topic, group = make_topic(), unique("g")
    assert raw.committed(group, topic) == -1


def test_a_member_must_offer_a_common_protocol_and_a_sane_session_timeout(broker: Any, raw: Any) -> None:
    group = unique("g")
    raw.sync(group, raw.join(group))
    with Raw(broker.address) as other:
        assert other.join(group, protocols=("weird",)).error_code == 23
        assert other.join(group, "nobody").error_code == 25
        fields = {"member_id": "", "protocol_type": "consumer", "protocols": []}
        hasty = other.call("JoinGroup", 4, group_id=group, session_timeout_ms=10, rebalance_timeout_ms=10, **fields)
        assert hasty.error_code in (23, 26)


def test_groups_are_listed_described_and_deleted_only_when_empty(broker: Any, raw: Any, make_topic: Any) -> None:
    topic, group = make_topic(), unique("g")
    joined = raw.join(group)
    raw.sync(group, joined)
    assert raw.commit(group, topic, 3, joined.generation_id, joined.member_id) == 0
    with Raw(broker.address) as admin:

        def described() -> Any:
            return admin.call("DescribeGroups", 3, groups=[group], include_authorized_operations=False).groups[0]

        def delete() -> int:
            return int(admin.call("DeleteGroups", 1, groups_names=[group]).results[0].error_code)

        assert (group, "consumer") in [
            (each.group_id, each.protocol_type) for each in admin.call("ListGroups", 3).groups
        ]
        found = described()
        assert (found.group_state, found.protocol_data) == ("Stable", "range")
        assert [(each.member_id, bytes(each.member_assignment)) for each in found.members] == [(joined.member_id, b"a")]
        assert delete() == 68
        assert raw.call("LeaveGroup", 1, group_id=group, member_id=joined.member_id).error_code == 0
        assert described().group_state == "Empty"
        assert delete() == 0
        assert admin.committed(group, topic) == -1
