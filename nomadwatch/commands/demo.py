"""`nomadwatch demo`: a station on a simulated world."""

from typing import Any

import click

from nomadwatch.commands import options


@click.command("demo")
@options.option(
    "--speed",
    type=click.FloatRange(1, 1440),
    default=30.0,
    show_default=True,
    help="Simulated seconds in a second.",
)
@options.option("--for", "seconds", type=click.FloatRange(min=1), help="End after N seconds.  [default: at Ctrl-C]")
@options.option("--seed", type=int, default=1, show_default=True, help="Seed of the simulated world.")
@options.option(
    "--rate",
    type=click.FloatRange(0.1, 200),
    default=4.0,
    show_default=True,
    help="Events of GitHub in a simulated second.",
)
@options.host
@options.port
@options.allow_host
@options.data_dir
@options.verbose
def command(speed: float, seconds: float | None, seed: int, rate: float, verbose: bool, **flags: Any) -> None:
    """Show a station on a simulated GitHub and Hub: it needs no token and no network.

    Nothing is kept unless --data-dir names a folder. Every demonstration simulates a new world, so it needs a new
    folder.
    """
    from nomadwatch.logs import to_stderr
    from nomadwatch.processes.station import DemoWorld, run_station
    from nomadwatch.settings import load
    from nomadwatch.terminal.summary import choose_summary

    known = load(flags)
    to_stderr(verbose)
    with choose_summary() as summary:
        run_station(known, summary, DemoWorld(seed=seed, speed=speed, rate=rate, seconds=seconds), verbose=verbose)
