"""`nomadwatch feeds`: how each feed of a station is doing, as its pollers last reported."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, Literal

import click
import msgspec

from agents.measurements import HealthReport, is_well
from nomadwatch.commands import options
from nomadwatch.errors import Failure
from nomadwatch.logs import to_stderr
from nomadwatch.processes.embedded import station
from nomadwatch.settings import Settings, load
from nomadwatch.state import default_folder
from nomadwatch.terminal.console import cell, console, print_json, table
from nomadwatch.times import span
from sinks.board import SIMULATED, STALE_AFTER, Board, wall_clock
from sinks.report import rfc3339
from sinks.topic import TopicReader
from streams.plain import one_line

if TYPE_CHECKING:
    from rich.text import Text

_NUMBERS: Final = ("seen", "lag", "quota", "polls")

# A terminal with fewer columns than this gets less padding.
_NARROW: Final = 120


class GapTotal(msgspec.Struct, kw_only=True):
    """The gaps of a feed: their number, and their total length in seconds."""

    count: int = 0
    seconds: float = 0.0


class FeedStatus(msgspec.Struct, kw_only=True):
    """A feed, as `role` reported it at `evaluated_at`. Unknown values are None.

    `polls`: by outcome; `gaps`: by reason. `world` is set only if it is not the real one.
    """

    feed: str
    role: str
    evaluated_at: str | None
    state: str | None = None
    coverage: float | None = None
    lag_seconds: float | None = None
    remaining: int | None = None
    polls: dict[str, int] = {}
    gaps: dict[str, GapTotal] = {}
    world: Literal["simulated"] | msgspec.UnsetType = msgspec.UNSET


@click.command("feeds")
@options.table_or_json
@options.broker
@options.data_dir
@options.prefix
def command(form: str, **flags: Any) -> None:
    """Show how each feed is doing.

    The default is the station of `nomadwatch up`; --data-dir or --broker selects another.

    The columns: "seen" is the share of the last hour's events that were seen, "lag" the age of the newest event,
    "quota" the requests that the platform still allows, "gaps" how often and for how long the feed missed events, by
    reason.
    """
    to_stderr(verbose=False)
    show(load(flags).settings, form)


def show(settings: Settings, form: str) -> None:
    """Print the table or JSON. Raises Misuse without a station, Failure if it has not polled yet."""
    reports = [report for report in asyncio.run(_reports(settings)) if _feeds_of(report)]
    if not reports:
        where = settings.data_dir or settings.broker or default_folder()
        raise Failure(f"no station has polled anything at {where}; start one with nomadwatch up, or choose another")
    if form == "json":
        print_json([feed for report in reports for feed in _feeds_of(report)])
        return
    _print(reports, wall_clock())


async def _reports(settings: Settings) -> list[HealthReport]:
    async with station(settings) as (bootstrap, kept):
        from streams.kafka.topics import Topics

        board = Board()
        async with TopicReader.open(
            bootstrap, Topics(prefix=kept.prefix, partitions=kept.partitions).measurements
        ) as reader:
            board.take(await reader.read_to_end())
        return board.reports


def _feeds_of(report: HealthReport) -> list[FeedStatus]:
    """The feeds of a role, in the order of its report."""
    at = rfc3339(report.evaluated_at)
    world: Literal["simulated"] | msgspec.UnsetType = "simulated" if report.simulated else msgspec.UNSET
    found: dict[str, FeedStatus] = {}
    for name, text in report.states.items():
        found[name] = FeedStatus(feed=name, role=report.role, world=world, evaluated_at=at, state=text)
    for row in report.rows:
        if "feed" not in row.labels:
            continue
        name = row.labels["feed"]
        feed = found.setdefault(name, FeedStatus(feed=name, role=report.role, world=world, evaluated_at=at))
        match row.name.removeprefix("nomadwatch_feed_"):
            case "polls_total":
                feed.polls[row.labels["outcome"]] = int(row.value)
            case "gaps_total":
                feed.gaps.setdefault(row.labels["reason"], GapTotal()).count = int(row.value)
            case "gap_seconds_total":
                feed.gaps.setdefault(row.labels["reason"], GapTotal()).seconds = row.value
            case "coverage_ratio":
                feed.coverage = row.value
            case "lag_seconds":
                feed.lag_seconds = row.value
            case "rate_limit_remaining":
                feed.remaining = int(row.value)
    return list(found.values())


def _print(reports: Iterable[HealthReport], now: int) -> None:
    from rich.text import Text

    out = console()
    for report in reports:
        age = now - report.evaluated_at
        if report.simulated:
            out.print(Text(SIMULATED, style="bold reverse yellow"))
        clock = ", real time" if report.simulated else ""
        said = Text.assemble(
            (f"{report.role} ", "bold"),
            (f"as of {rfc3339(report.evaluated_at // 1_000_000 * 1_000_000)}{clock}", "dim"),
        )
        if age > STALE_AFTER:
            said.append(f": {span(age / 1e6)} ago; it is not running", "yellow")
        out.print(said)
        shown = table("feed", "state", *_NUMBERS, "gaps", numbers=_NUMBERS)
        if out.width < _NARROW:
            shown.padding = (0, 1, 0, 0)
        for column in shown.columns:
            column.no_wrap = column.header not in ("state", "gaps")  # only text may be wrapped
        for feed in _feeds_of(report):
            shown.add_row(*_cells(feed))
        out.print(shown)


def _cells(feed: FeedStatus) -> list["Text"]:
    from rich.text import Text

    def known(value: float | None, text: str) -> Text:
        return Text("–", style="dim") if value is None else Text(text)

    state = cell(feed.state or "–", "" if feed.state is None or is_well(feed.state) else "yellow")
    bad = [f"{feed.polls[outcome]:,} {outcome}" for outcome in ("limited", "failed") if feed.polls.get(outcome)]
    polls = "\n".join([f"{sum(feed.polls.values()):,}", *bad])
    gaps = [f"{gap.count:,} {reason} ({span(gap.seconds)})" for reason, gap in feed.gaps.items()]
    return [
        cell(feed.feed),
        state,
        known(feed.coverage, f"{100 * (feed.coverage or 0):.4g} %"),
        known(feed.lag_seconds, span(feed.lag_seconds or 0)),
        known(feed.remaining, f"{feed.remaining or 0:,}"),
        Text(polls) if feed.polls else Text("–", style="dim"),
        Text("\n".join(map(one_line, gaps)) or "none"),
    ]
