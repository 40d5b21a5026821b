"""`nomadwatch up`: the live station."""

from typing import Any

import click

from nomadwatch.commands import options


@click.command("up")
@options.host
@options.port
@options.allow_host
@options.watchlist
@options.broker
@options.data_dir
@options.prefix
@options.partitions
@options.verbose
def command(verbose: bool, **flags: Any) -> None:
    """Watch GitHub and the Hugging Face Hub live, until Ctrl-C.

    Tokens come from GITHUB_TOKEN and HF_TOKEN, or from the files that GITHUB_TOKEN_FILE and HF_TOKEN_FILE name.
    Without tokens the station keeps within the rate limits of anonymous clients. The state is kept in --data-dir
    [default: ~/.local/state/nomadwatch]: a station that is started again continues from it.
    """
    from nomadwatch.logs import to_stderr
    from nomadwatch.processes.station import run_station
    from nomadwatch.settings import load
    from nomadwatch.terminal.summary import choose_summary

    known = load(flags)
    to_stderr(verbose)
    with choose_summary() as summary:
        run_station(known, summary, verbose=verbose)
