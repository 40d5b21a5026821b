"""`nomadwatch broker`: the embedded broker by itself."""

from typing import Any

import click

from nomadwatch.commands import options


@click.command("broker")
@options.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9092,
    show_default=True,
    help="The port on 127.0.0.1; 0 takes a free one.",
)
@options.data_dir
@options.verbose
def command(port: int, verbose: bool, **flags: Any) -> None:
    """Run the embedded broker by itself, for one machine, until SIGTERM or Ctrl-C."""
    from nomadwatch.processes.alone import run_broker
    from nomadwatch.settings import load

    run_broker(port, load(flags).settings, verbose)
