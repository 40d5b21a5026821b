"""The command `health`: is a role well? For whoever watches processes: an exit code and a line."""

import asyncio
import socket
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from agents.measurements import HealthReport
from nomadwatch.connect import address, await_broker
from nomadwatch.errors import Failure, Misuse
from nomadwatch.feeds import span
from nomadwatch.settings import Settings
from nomadwatch.sinks_role import Address
from sinks.board import STALE_AFTER, Board, wall_clock
from streams.errors import in_words

ROLES: Final = ("aggregate", "measure", "sinks", "streams")
# Seconds in which whoever is asked must answer: a supervisor waits for this command.
_PATIENCE: Final = 5.0


def show(role: str, settings: Settings) -> None:
    """A line on stdout that says why the role is well. Raises Failure with why it is not, Misuse without a broker.

    `sinks` is asked itself; `streams` and `measure` are well when what they wrote to the broker is fresh, `aggregate` when the broker
    counts a worker of this host among those that share the partitions.
    """
    if role == "sinks":
        print(_answer(Address.of(settings)))
        return
    if not settings.broker:
        raise Misuse(f"the health of {role} stands on a broker; name it with --broker HOST:PORT")
    from aiokafka.errors import KafkaError
    from kafka.errors import KafkaError as RefusedByAdmin

    try:
        print(asyncio.run(_workers(settings) if role == "aggregate" else _spoken(role, settings)))
    except (KafkaError, RefusedByAdmin) as error:
        raise Failure(f"the broker at {settings.broker} does not answer as it should ({in_words(error)}); is it running?") from None


def _answer(address: Address) -> str:
    port = address.port
    connection = HTTPConnection(address.near, port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        raise Failure(f"sinks does not answer on port {port} ({in_words(error)}); start it, or name its --port") from None
    finally:
        connection.close()
    if status != 200:
        raise Failure(f"sinks answers {status}: nothing has been measured yet; are streams, aggregate and measure at work?")
    return f"sinks answers on port {port}"


async def _spoken(role: str, settings: Settings) -> str:
    from sinks.topic import TopicReader
    from streams.topics import Topics

    await await_broker(settings.broker, _PATIENCE)
    board, now = Board(), wall_clock()
    topic = Topics(prefix=settings.prefix, partitions=settings.partitions).measurements
    # Whoever has said nothing since is not well: the rest of the topic need not be read for that.
    async with TopicReader.open(settings.broker, topic, since=now - STALE_AFTER) as reader:
        board.take(await reader.read_to_end())
    return judged(role, _spoke_at(role, board), now)


def _spoke_at(role: str, board: Board) -> int | None:
    if role == "measure":
        return board.evaluation.evaluated_at if board.evaluation else None
    reports: list[HealthReport] = board.reports
    return next((report.evaluated_at for report in reports if report.role == role), None)


def judged(role: str, spoke_at: int | None, now: int) -> str:
    """The line about a role that spoke last at a time; times in µs UTC. Raises Failure where that is too long ago.

    >>> judged("measure", 1_000_000, 4_000_000)
    'measure spoke 3 s ago'
    """
    if spoke_at is None or now - spoke_at > STALE_AFTER:
        raise Failure(f"{role} has not spoken for {span(STALE_AFTER / 1e6)}; start it again, or look at what it says on stderr")
    return f"{role} spoke {span(max(0, now - spoke_at) / 1e6)} ago"


async def _workers(settings: Settings) -> str:
    await await_broker(settings.broker, _PATIENCE)
    here = _host_as_seen_from(settings.broker)
    found = [member for member in await asyncio.to_thread(_members, settings) if member["client_host"].strip("/") == here]
    if not found:
        raise Failure(f"no aggregate worker of {here} shares the partitions; start it, or look at what it says on stderr")
    return f"{len(found)} aggregate {'worker' if len(found) == 1 else 'workers'} of {here} at work"


def _host_as_seen_from(broker: str) -> str:
    with socket.create_connection(address(broker), timeout=_PATIENCE) as connection:
        host: str = connection.getsockname()[0]
    return host


def _members(settings: Settings) -> list[dict[str, Any]]:
    from kafka import KafkaAdminClient

    group = f"{settings.prefix}aggregate"
    admin = KafkaAdminClient(bootstrap_servers=settings.broker, client_id="nomadwatch-health", request_timeout_ms=int(_PATIENCE * 1000))
    try:
        return list(admin.describe_groups([group])[group]["members"])
    finally:
        admin.close()
