"""`nomadwatch sinks`: the HTTP server by itself."""

from typing import Any

import click

from nomadwatch.commands import options


@click.command("sinks")
@options.host
@options.port
@options.allow_host
@options.broker
@options.prefix
@options.partitions
@options.verbose
def command(verbose: bool, **flags: Any) -> None:
    """Serve the measurements over HTTP, until SIGTERM or Ctrl-C: the page, /metrics, /healthz.

    Several of them may run at once.
    """
    from nomadwatch.processes.sinks_role import run_alone
    from nomadwatch.settings import load

    run_alone(load(flags), verbose)
