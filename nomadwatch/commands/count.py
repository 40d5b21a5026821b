"""`nomadwatch count`: the role `count` by itself."""

from typing import Any

import click

from nomadwatch.commands import options


@click.command("count")
@options.broker
@options.data_dir
@options.prefix
@options.partitions
@options.verbose
def command(verbose: bool, **flags: Any) -> None:
    """Run a worker that counts each activity once, until SIGTERM or Ctrl-C.

    Start several to share the partitions among them.
    """
    from nomadwatch.processes.alone import run_worker
    from nomadwatch.settings import load

    run_worker("count", load(flags).settings, verbose)
