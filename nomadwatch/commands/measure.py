"""`nomadwatch measure`: the role `measure` by itself."""

from typing import Any

import click

from nomadwatch.commands import options


@click.command("measure")
@options.broker
@options.data_dir
@options.prefix
@options.partitions
@options.verbose
def command(verbose: bool, **flags: Any) -> None:
    """Run the worker that makes measurements of what is counted, until SIGTERM or Ctrl-C.

    Run one of them only.
    """
    from nomadwatch.processes.alone import run_worker
    from nomadwatch.settings import load

    run_worker("measure", load(flags).settings, verbose)
