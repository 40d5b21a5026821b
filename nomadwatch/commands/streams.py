"""`nomadwatch streams`: the pollers by themselves."""

from typing import Any

import click

from nomadwatch.commands import options


@click.command("streams")
@options.watchlist
@options.broker
@options.data_dir
@options.prefix
@options.partitions
@options.verbose
def command(verbose: bool, **flags: Any) -> None:
    """Run the pollers of GitHub and the Hub, until SIGTERM or Ctrl-C.

    Run one of them only: two would send every request twice. The data folder keeps the key of the actors' hashes
    unless NOMADWATCH_ACTOR_KEY is set.
    """
    from nomadwatch.processes.alone import run_streams
    from nomadwatch.settings import load

    run_streams(load(flags).settings, verbose)
