"""`nomadwatch health`: whether the roles are healthy, as an exit code and a line, for supervisors and containers."""

import asyncio
import socket
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from agents.measurements import HealthReport
from nomadwatch.commands import options
from nomadwatch.commands.listing import RoleName
from nomadwatch.connect import LOOPBACK, await_broker, parse_address
from nomadwatch.errors import Failure, Misuse
from nomadwatch.logs import to_stderr
from nomadwatch.processes.sinks_role import Address
from nomadwatch.settings import Known, Settings, load
from nomadwatch.state import Kept, default_folder, read_kept
from nomadwatch.terminal.console import tell
from nomadwatch.times import span
from sinks.board import STALE_AFTER, Board, wall_clock
from streams.errors import in_words

ROLES: Final = ("count", "measure", "sinks", "streams")
# Seconds within which an answer must come: a supervisor waits for this command.
_PATIENCE: Final = 5.0


@click.command("health")
@click.argument("role", required=False, type=RoleName(ROLES))
@options.host
@options.port
@options.broker
@options.data_dir
@options.prefix
@options.partitions
def command(role: str | None, **flags: Any) -> None:
    """Check whether the roles are healthy: one line for each role.

    The exit code is 0 if all of them are healthy, else 1; name a ROLE to check that one alone. Without --broker the
    station of `nomadwatch up` is checked. sinks is healthy if it answers on its port and shows figures of the last
    minute; streams and measure, if they have published within the last minute; count, if a worker of this host has
    partitions.
    """
    to_stderr(verbose=False)
    show(role, load(flags))


def show(role: str | None, known: Known) -> None:
    """Print a line for a role (None: for each) that is healthy. Raises Failure with the reason if one is not.

    The page is asked itself. `streams` and `measure` are healthy if what they published is fresh, the workers that
    share the partitions if the broker lists one of this host. The state of a data folder takes precedence over a
    broker; without either, the folder of `up` is used. Raises Misuse without a station.
    """
    if role is not None:
        print(_asked(role, known))
        return
    unwell = []
    for each in ROLES:
        try:
            print(_asked(each, known), flush=True)
        except Misuse:
            raise
        except Failure as failure:
            tell(str(failure))
            unwell.append(each)
    if unwell:
        raise Failure(f"not healthy: {', '.join(unwell)}")


def _asked(role: str, known: Known) -> str:
    """The line for a healthy role. Raises Failure or Misuse."""
    settings = known.settings
    kept = read_kept(_folder(settings)) if settings.data_dir or not settings.broker else None
    if role == "sinks":
        return _answer(_page(known, kept))
    if kept is not None:
        broker = kept.broker or f"{LOOPBACK}:{kept.port}"
        settings = msgspec.structs.replace(settings, broker=broker, prefix=kept.prefix, partitions=kept.partitions)
    if not settings.broker:
        raise Misuse(
            f"no station has its state in {_folder(settings)}: start one with nomadwatch up, "
            "or name a data folder (--data-dir) or a broker (--broker)"
        )
    try:
        return _on_broker(role, settings)
    except Failure as failure:
        if kept is None or kept.broker or _answers(kept.port):
            raise
        raise Failure(
            f"no station runs on {_folder(settings)}; start it with nomadwatch up, or choose another --data-dir"
        ) from failure


def _folder(settings: Settings) -> Path:
    return Path(settings.data_dir) if settings.data_dir else default_folder()


def _page(known: Known, kept: Kept | None) -> Address:
    """Where the page is served: as in the settings, else where the station of the folder last served it."""
    address = Address.of(known)
    chosen = {known.origins["port"], known.origins["host"]} != {"default"}
    if chosen or kept is None or not kept.page_port:
        return address
    return Address(kept.page_port, kept.page_host)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=_PATIENCE):
        return True
    return False


def _on_broker(role: str, settings: Settings) -> str:
    from aiokafka.errors import KafkaError
    from kafka.errors import KafkaError as RefusedByAdmin

    try:
        return asyncio.run(_workers(settings) if role == "count" else _spoken(role, settings))
    except (KafkaError, RefusedByAdmin) as error:
        raise Failure(
            f"an unexpected answer from the broker at {settings.broker} ({in_words(error)}); is it running?"
        ) from None


def _answer(address: Address) -> str:
    port = address.port
    connection = HTTPConnection(address.near, port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        status, said = answer.status, _status(answer.read())
    except (OSError, HTTPException) as error:
        raise Failure(
            f"sinks does not answer on port {port} ({in_words(error)}); start it, or give its --port"
        ) from None
    finally:
        connection.close()
    if status != 200:
        why = "nothing has been measured for a minute" if said == "stale" else "nothing has been measured yet"
        raise Failure(f"sinks answers {status}: {why}; are streams, count and measure at work?")
    return f"sinks answers on port {port}"


def _status(body: bytes) -> str:
    """The status in the answer of `/healthz`; empty if something else has answered."""
    try:
        return str(msgspec.json.decode(body, type=dict[str, Any]).get("status", ""))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


async def _spoken(role: str, settings: Settings) -> str:
    from sinks.topic import TopicReader
    from streams.kafka.topics import Topics

    await await_broker(settings.broker, _PATIENCE)
    board, now = Board(), wall_clock()
    topic = Topics(prefix=settings.prefix, partitions=settings.partitions).measurements
    # A role that has not reported since then is not healthy: the rest of the topic need not be read.
    async with TopicReader.open(settings.broker, topic, since=now - STALE_AFTER) as reader:
        board.take(await reader.read_to_end())
    return judged(role, _spoke_at(role, board), now)


def _spoke_at(role: str, board: Board) -> int | None:
    if role == "measure":
        return board.evaluation.evaluated_at if board.evaluation else None
    reports: list[HealthReport] = board.reports
    return next((report.evaluated_at for report in reports if report.role == role), None)


def judged(role: str, spoke_at: int | None, now: int) -> str:
    """The line for a role that last reported at a time (µs UTC). Raises Failure if that is too long ago.

    >>> judged("measure", 1_000_000, 4_000_000)
    'measure reported 3 s ago'
    """
    if spoke_at is None or now - spoke_at > STALE_AFTER:
        raise Failure(f"{role} has not reported for {span(STALE_AFTER / 1e6)}; restart it, or look at its stderr")
    return f"{role} reported {span(max(0, now - spoke_at) / 1e6)} ago"


async def _workers(settings: Settings) -> str:
    await await_broker(settings.broker, _PATIENCE)
    here = _host_as_seen_from(settings.broker)
    found = [
        member for member in await asyncio.to_thread(_members, settings) if member["client_host"].strip("/") == here
    ]
    if not found:
        raise Failure(f"no count worker of {here} shares the partitions; start it, or look at what it says on stderr")
    return f"{len(found)} count {'worker' if len(found) == 1 else 'workers'} of {here} at work"


def _host_as_seen_from(broker: str) -> str:
    with socket.create_connection(parse_address(broker), timeout=_PATIENCE) as connection:
        host: str = connection.getsockname()[0]
    return host


def _members(settings: Settings) -> list[dict[str, Any]]:
    from kafka import KafkaAdminClient

    group = f"{settings.prefix}count"
    admin = KafkaAdminClient(
        bootstrap_servers=settings.broker, client_id="nomadwatch-health", request_timeout_ms=int(_PATIENCE * 1000)
    )
    try:
        return list(admin.describe_groups([group])[group]["members"])
    finally:
        admin.close()
