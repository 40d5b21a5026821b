"""`python -m simulator`: write hours of a generated archive and the truth beside them, or serve both platforms over
HTTP.
"""

import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from simulator.archive import ArchivePlan, Packing, write
from simulator.clock import HOUR, micros
from simulator.servers.clock import WorldClock
from simulator.servers.faults import KINDS, Faults
from simulator.servers.serve import rates_of
from simulator.servers.serve import serve as serve_both


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A generated world of open-source AI, with a seed and known truth."""


@main.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the files; made if absent.",
)
@click.option("--start", default="2024-05-01T12", show_default=True, help="The first hour (UTC).")
@click.option("--hours", type=click.IntRange(1), default=1, show_default=True, help="How many hours.")
@click.option("--events", type=click.IntRange(0), default=20_000, show_default=True, help="GitHub events in each hour.")
@click.option(
    "--hub-events",
    type=click.IntRange(0),
    default=2_000,
    show_default=True,
    help="What happens on the Hub in each hour.",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--era", type=click.Choice(["2024", "2026"]), default="2024", show_default=True, help="Full payloads or today's."
)
@click.option(
    "--duplicates", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="Share of lines written twice."
)
@click.option(
    "--disorder-hours",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    help="How late a tenth of the lines may be.",
)
@click.option(
    "--late",
    type=click.FloatRange(0, 1),
    default=0.005,
    show_default=True,
    help="Share of lines older than three days.",
)
@click.option(
    "--future",
    type=click.FloatRange(0, 1),
    default=0.001,
    show_default=True,
    help="Share of lines stamped in the future.",
)
@click.option(
    "--garbage", type=click.IntRange(0), default=0, show_default=True, help="Lines that are no events, in all."
)
@click.option("--packing", type=click.Choice(["gz", "zst", "plain"]), default="gz", show_default=True)
def hour(
    out: Path,
    start: str,
    hours: int,
    events: int,
    hub_events: int,
    seed: int,
    era: str,
    duplicates: float,
    disorder_hours: int,
    late: float,
    future: float,
    garbage: int,
    packing: Packing,
) -> None:
    """Write archive hours of both platforms into a folder and, beside it, FOLDER.truth.json: what must be measured of
    them.
    """
    plan = ArchivePlan(
        start=_hour(start),
        hours=hours,
        events=events,
        hub_events=hub_events,
        era=era,
        seed=seed,
        duplicates=duplicates,
        disorder_hours=disorder_hours,
        late=late,
        future=future,
        garbage=garbage,
        packing=packing,
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths, truth = write(out, plan)
        report = truth.report()
        told_at = out.with_name(out.name + ".truth.json")
        told_at.write_text(json.dumps(report, indent=1) + "\n")
    except OSError as error:
        raise click.ClickException(
            f"cannot write to {out}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    for path in paths:
        click.echo(f"{path}  {path.stat().st_size:,} bytes")
    told = report["input"]
    click.echo(
        f"{told_at}  {told['activities']:,} activities, {told['duplicates']:,} duplicates, "
        f"{sum(told['dead_letters'].values()):,} dead letters, {len(report['measurements']):,} measurements"
    )


@main.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="GitHub's port; 0 takes a free one."
)
@click.option(
    "--hub-port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="The Hub's port; 0 takes a free one.",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--scale",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    help="How many times as fast as real time its clock runs.",
)
@click.option("--origin", type=float, help="When both clocks showed the same (Unix time); default: now.")
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="GitHub events a simulated second.",
)
@click.option(
    "--hub-rate",
    type=click.FloatRange(0, min_open=True),
    default=2.0,
    show_default=True,
    help="Things that happen on the Hub in a simulated second.",
)
@click.option(
    "--era", type=click.Choice(["2024", "2026", "mixed"]), default="2026", show_default=True, help="GitHub's payloads."
)
@click.option("--token", help="The only valid token on GitHub; without it none is.")
@click.option("--hub-token", help="The only valid token on the Hub; without it none is.")
@click.option(
    "--release-in", type=click.FloatRange(0), help="Simulated seconds until a watched repository on GitHub publishes."
)
@click.option(
    "--faults",
    default="",
    help=f"Rates of faults, like error=0.02,stale=0.05: {', '.join(KINDS)}; skew in seconds.",
)
def serve(
    port: int,
    hub_port: int,
    seed: int,
    scale: float,
    origin: float | None,
    rate: float,
    hub_rate: float,
    era: str,
    token: str | None,
    hub_token: str | None,
    release_in: float | None,
    faults: str,
) -> None:
    """Serve GitHub's events API and the Hub's API on loopback until SIGINT or SIGTERM; their addresses come as one line
    of JSON.
    """
    clock, befalling = WorldClock(scale, time.time() if origin is None else origin), Faults(seed)
    try:
        befalling.set(**rates_of(faults))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from error
    try:
        asyncio.run(
            serve_both(
                seed,
                clock,
                befalling,
                port=port,
                hub_port=hub_port,
                rate=rate,
                hub_rate=hub_rate,
                era=era,
                token=token,
                hub_token=hub_token,
                release_in=release_in,
                tell=click.echo,
            )
        )
    except OSError as error:
        raise click.ClickException(
            f"cannot serve: {error.strerror or error}; choose another port, or 0 for a free one"
        ) from error


def _hour(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no time; write it like 2024-05-01T12", param_hint="--start") from error
    time = micros(moment.replace(tzinfo=moment.tzinfo or UTC))
    if time % HOUR:
        raise click.BadParameter(f"{text!r} is no full hour; write it like 2024-05-01T12", param_hint="--start")
    return time


if __name__ == "__main__":
    main(prog_name="python -m simulator")
