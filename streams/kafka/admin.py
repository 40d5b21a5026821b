"""The topics on a broker: created, checked, inspected, removed.

Each call makes one admin connection. A broker that does not answer within ten seconds counts as away.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError, TopicAlreadyExistsError
from kafka.structs import TopicPartition

from streams.errors import BrokerAway, in_words
from streams.kafka.topics import Topics

_TIMEOUT: Final = 10_000


def create(bootstrap: str, topics: Topics) -> list[str]:
    """Create the topics that are missing and leave the others as they are. Returns the names of those created. Raises
    `BrokerAway`.
    """
    with _admin(bootstrap) as admin:
        there = set(admin.list_topics())
        missing = [name for name in topics.names if name not in there]
        if missing:
            wanted = {
                name: {
                    "num_partitions": topics.partitions_of(name),
                    "replication_factor": -1,
                    "configs": topics.settings_of(name),
                }
                for name in missing
            }
            # Another process may create one of them meanwhile; each is created or refused by itself.
            with suppress(TopicAlreadyExistsError):
                admin.create_topics(wanted, timeout_ms=_TIMEOUT)
            admin.wait_for_topics(missing, timeout_ms=_TIMEOUT)
    return missing


def check(bootstrap: str, topics: Topics) -> list[str]:
    """What is wrong with the broker's topics, one line each with what to do; empty if nothing is. Raises
    `BrokerAway`.
    """
    with _admin(bootstrap) as admin:
        there = set(admin.list_topics())
        present = [name for name in topics.names if name in there]
        problems = [
            f"topic {name} is missing: run `nomadwatch topics create`" for name in topics.names if name not in there
        ]
        if not present:
            return problems
        counts = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics(present)}
        described = admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name) for name in present], config_filter="all"
        )
    for name in present:
        wanted = topics.partitions_of(name)
        if counts[name] != wanted:
            problems.append(
                f"topic {name} has {counts[name]} partitions, not {wanted}: set the number of partitions back, "
                "or run `nomadwatch topics delete` and begin anew (what it holds is lost)"
            )
        for setting, value in topics.settings_of(name).items():
            found = described["topic"][name].get(setting, {}).get("value")
            if found != value:
                problems.append(
                    f"topic {name} has {setting} = {found}, not {value}: alter it on the broker (kafka-configs --alter)"
                )
    return problems


def lag(bootstrap: str, topics: Topics, group: str) -> dict[int, int]:
    """For each partition of `activity` the number of records that a consumer group has not committed. Raises
    `BrokerAway`.
    """
    partitions = [TopicPartition(topics.activity, number) for number in range(topics.partitions)]
    with _admin(bootstrap) as admin:
        ends = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.LATEST))
        starts = admin.list_partition_offsets(dict.fromkeys(partitions, OffsetSpec.EARLIEST))
        committed = admin.list_group_offsets({group: partitions})[group]
    found = {}
    for partition in partitions:
        known = committed.get(partition)
        reached = known.offset if known is not None and known.offset >= 0 else starts[partition].offset
        found[partition.partition] = max(0, ends[partition].offset - reached)
    return found


def delete(bootstrap: str, topics: Topics) -> list[str]:
    """Remove all topics that exist, with their content. Returns the names of those removed. Raises `BrokerAway`."""
    with _admin(bootstrap) as admin:
        there = set(admin.list_topics())
        present = [name for name in topics.names if name in there]
        if present:
            admin.delete_topics(present, timeout_ms=_TIMEOUT)
    return present


@contextmanager
def _admin(bootstrap: str) -> Iterator[Any]:
    """An admin connection; every failure of the connection becomes `BrokerAway`."""
    if not any(_listens(address.strip()) for address in bootstrap.split(",")):
        raise BrokerAway(f"no broker listens at {bootstrap}: start it, or name another one")
    admin = None
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap,
            client_id="nomadwatch-topics",
            request_timeout_ms=_TIMEOUT,
            bootstrap_timeout_ms=_TIMEOUT,
        )
        yield admin
    except KafkaError as error:
        raise BrokerAway(
            f"the broker at {bootstrap} does not answer as it should ({in_words(error)}): is it running?"
        ) from error
    finally:
        if admin is not None:
            admin.close()


def _listens(address: str) -> bool:
    """Whether a server accepts connections there. The admin client would try for ten seconds and leave its sockets
    open.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return False
    try:
        socket.create_connection((host.strip("[]") or "127.0.0.1", int(port)), timeout=_TIMEOUT / 1000).close()
    except OSError:
        return False
    return True
