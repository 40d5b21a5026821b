"""`nomadwatch doctor`: checks everything that a run needs, and says what to do about each problem."""

import asyncio
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import click

from nomadwatch import __version__
from nomadwatch.commands import options
from nomadwatch.connect import await_broker, is_free
from nomadwatch.errors import Failure, Misuse
from nomadwatch.logs import to_stderr
from nomadwatch.private import exposure
from nomadwatch.settings import Known, Settings, load, warnings
from nomadwatch.state import LEAST_ROOM, State, default_folder, read_kept
from nomadwatch.terminal.console import console
from nomadwatch.topics import check_topics
from streams import platforms
from streams.errors import BrokerAway, in_words
from streams.plain import one_line
from streams.platform import Platform, imported

if TYPE_CHECKING:
    from aiohttp import ClientSession

ENOUGH_ROOM: Final = 2 << 30
# A clock before 2025 or after 2099 is wrong.
_EARLIEST, _LATEST = 1_735_689_600, 4_102_444_800
_PLATFORM_WAIT: Final = 8.0
_MOST_SKEW: Final = 30.0
_MARKS: Final = {"good": ("ok", "green"), "note": ("note", "yellow"), "bad": ("bad", "red")}


class Finding(NamedTuple):
    """The result of one check. `note`: worth knowing. `bad`: a run would fail."""

    verdict: Literal["good", "note", "bad"]
    what: str


@click.command("doctor")
@options.broker
@options.data_dir
@options.prefix
@options.partitions
def command(**flags: Any) -> None:
    """Check the installation and its settings, and show where each setting comes from."""
    to_stderr(verbose=False)
    examine(load(flags, warn=False))


def examine(known: Known) -> None:
    """Print all findings and settings. Raises Failure if a run would fail."""
    from rich.text import Text

    out = console()
    bad = 0
    for finding in findings(known.settings):
        mark, colour = _MARKS[finding.verdict]
        out.print(Text.assemble((f"{mark:>4}", colour), f"  {one_line(finding.what)}"), soft_wrap=True)
        bad += finding.verdict == "bad"
    out.print("\nSettings")
    rows = list(known.table())
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        out.print(Text(one_line(f"  {name:<{wide[0]}}  {value:<{wide[1]}}  {origin}")), soft_wrap=True)
    if bad:
        raise Failure(f"problems that would make a run fail: {bad}; do what their lines say")


def findings(settings: Settings) -> Iterator[Finding]:
    """All findings, in the order in which a run would meet the problems."""
    yield _python()
    yield _clock(time.time())
    yield from _folder(settings.data_dir)
    yield _port()
    yield _page(settings.host, settings.port)
    yield from _watchlist(settings.watchlist)
    yield from asyncio.run(_platforms(settings))
    yield from _broker(settings)
    for line in warnings():
        yield Finding("note", line)


def _python() -> Finding:
    text = f"nomadwatch {__version__} on Python {platform.python_version()}, {platform.system()}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("good", text)
    return Finding("bad", f"{text}; it needs Python 3.11 to 3.13")


def _clock(now: float) -> Finding:
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if _EARLIEST < now < _LATEST:
        return Finding("good", f"the clock says {shown}")
    return Finding("bad", f"the clock says {shown}, which is wrong; set it")


def _folder(data_dir: str) -> Iterator[Finding]:
    if not data_dir:
        yield Finding(
            "good",
            f"no data folder is set: a replay uses a temporary one under {tempfile.gettempdir()} and keeps nothing",
        )
        yield _room(Path(tempfile.gettempdir()))
    path = Path(data_dir).absolute() if data_dir else default_folder()
    whose = "data folder" if data_dir else "data folder of a live station,"
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding(
            "bad", f"the {whose} {path} cannot be written; change its permissions or choose another with --data-dir"
        )
        return
    if there != path:
        yield Finding("good", f"the {whose} {path} will be created")
    else:
        try:
            if (exposed := exposure(path)) is not None:
                yield Finding("note", exposed)
            with State(str(path), tell=False):
                content = "a state" if read_kept(path) else "no state yet"
                yield Finding("good", f"the {whose} {path} is writable and holds {content}")
        except Misuse as misuse:
            yield Finding("bad", str(misuse))
        except Failure:
            yield Finding("note", f"the {whose} {path} is in use by a running process")
    yield _room(there)


def _room(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    text = f"{free / (1 << 30):,.1f} GiB free under {path}"
    if free < LEAST_ROOM:
        return Finding("bad", f"{text}; free some space")
    return (
        Finding("good", text)
        if free >= ENOUGH_ROOM
        else Finding("note", f"{text}, which is little: an archive hour takes up to 1 GiB")
    )


def _port() -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return Finding("good", f"ports of 127.0.0.1 can be opened (tried {server.getsockname()[1]})")
    except OSError as error:
        return Finding("bad", f"no port of 127.0.0.1 can be opened ({error.strerror}); the embedded broker needs one")


def _page(host: str, port: int) -> Finding:
    if is_free(port, host):
        return Finding("good", f"port {port} of {host} is free for /metrics" if port else "/metrics takes a free port")
    if not is_free(0, host):
        return Finding("bad", f"{host} is not an address of this machine; correct --host or NOMADWATCH_HOST")
    return Finding(
        "note", f"port {port} of {host} is in use, by a running station or another program; choose another with --port"
    )


async def _platforms(settings: Settings) -> list[Finding]:
    """Whether the platforms answer, accept the tokens, and agree about the time. Secrets are never shown."""
    from streams.live.common.http import open_session

    async with open_session(f"nomadwatch/{__version__}") as session:
        return [finding for each in platforms.ALL for finding in await _platform_findings(settings, each, session)]


async def _platform_findings(settings: Settings, asked: Platform, session: "ClientSession") -> list[Finding]:
    from streams.live.common.check import PlatformCheck
    from streams.live.common.http import Unreachable, fetch

    if not asked.check:
        return [Finding("note", f"{asked.name} was not checked: its platform has no check")]
    address, token = settings.access(asked.id)
    check: PlatformCheck = imported(asked.check)(session, address, token)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with asyncio.timeout(_PLATFORM_WAIT):
            answer = await fetch(session, address.rstrip("/") + check.path, headers=headers)
    except (Unreachable, TimeoutError, ValueError) as error:
        why = str(error) or in_words(error)
        advice = f"a live station needs it; check the network, or {asked.endpoint.variable}"
        return [Finding("note", f"{asked.name} does not answer ({why}): {advice}")]
    found = [_platform(asked, answer.status, bool(token))]
    if answer.status == 200:
        found += await _names(settings, asked, check.asks_names)
    if (skew := _skew(answer.headers.get("Date"), time.time())) is not None and abs(skew) > _MOST_SKEW:
        found.append(
            Finding(
                "note", f"this machine's clock differs from that of {asked.name} by {skew:+.0f} s; synchronise it (NTP)"
            )
        )
    return found


async def _names(settings: Settings, asked: Platform, asks_names: bool) -> list[Finding]:
    """Whether a platform lists the names in the watchlist.

    It is not asked if that would use up the requests that it grants.
    """
    from nomadwatch.online import look
    from streams.errors import WatchlistError
    from streams.watchlist import Watchlist

    try:
        watchlist = Watchlist.load(settings.watchlist or None)
    except WatchlistError:
        return []  # `_watchlist` says so
    if not asks_names and asked.token is not None:
        advice = f"set {asked.token.variable}, or run nomadwatch watch check --online"
        return [Finding("note", f"the names in the watchlist were not looked up on {asked.name}: {advice}")]
    checks = await look(settings, watchlist, (asked.id,))
    told = [Finding("note", f"watchlist: {each}") for each in checks if each.verdict.verdict != "known"]
    return told or [Finding("good", f"{asked.name} lists all names in the watchlist")]


def _platform(asked: Platform, status: int, has_token: bool) -> Finding:
    name, variable = asked.name, asked.token.variable if asked.token else ""
    if status == 200 and not variable:
        return Finding("good", f"{name} answers")
    if status == 200:
        how = f"accepts {variable}" if has_token else f"answers without a token; set {variable} for a higher limit"
        return Finding("good" if has_token else "note", f"{name} {how}")
    if status == 401 and variable:
        return Finding("bad", f"{name} refuses {variable}; create a new token, or unset it")
    return Finding("note", f"{name} answers {status}; try again later")


def _skew(header: str | None, now: float) -> float | None:
    """How many seconds this machine's clock is ahead of a server's Date header.

    >>> _skew("Thu, 01 Jan 1970 00:01:40 GMT", 103.0), _skew("soon", 0.0)
    (3.0, None)
    """
    from streams.live.common.backoff import date

    stated = date(header)
    return None if stated is None else now - stated


def _watchlist(path: str) -> Iterator[Finding]:
    from streams.errors import WatchlistError
    from streams.watchlist import Watchlist

    try:
        projects = len(Watchlist.load(path or None).projects)
        yield Finding("good", f"the watchlist {path or '(the built-in one)'} names {projects} projects")
    except WatchlistError as error:
        yield Finding("bad", str(error))


def _broker(settings: Settings) -> Iterator[Finding]:
    if not settings.broker:
        yield Finding("good", "the embedded broker is used")
        return
    try:
        asyncio.run(await_broker(settings.broker, min(5.0, settings.broker_wait)))
    except Failure as failure:
        yield Finding("bad", str(failure))
        return
    yield Finding("good", f"a Kafka broker answers at {settings.broker}")
    from streams.kafka.topics import Topics

    try:
        check_topics(settings.broker, Topics(prefix=settings.prefix, partitions=settings.partitions))
        yield Finding("good", "all topics exist there, with the right configuration")
    except (Failure, BrokerAway) as problem:
        yield Finding("note", f"{problem}; replays create topics of their own")
