"""`nomadwatch replay`: archives through the whole pipeline, to a report."""

import os
from typing import Any

import click

from nomadwatch.commands import options


@click.command("replay")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@options.option(
    "--report",
    "target",
    metavar="FILE",
    help="Write the report to this file (.csv, .parquet, else JSON; -: JSON on stdout).",
)
@options.option(
    "--history",
    metavar="DIR",
    help="Also write the figures at the end of each hour, for Prometheus: OpenMetrics, one file a day.",
)
@options.option(
    "--as-of", metavar="TIME", help="Measure as of this time (2015-01-01T15:00:00Z): later activities are left out."
)
@options.option("--include-bots", is_flag=True, help="Count bots as people.")
@options.option(
    "--strict",
    is_flag=True,
    help="Exit with code 1 if any input cannot be read. Events of unknown types are no error.",
)
@options.watchlist
@options.broker
@options.data_dir
@options.partitions
@options.verbose
def command(
    paths: tuple[str, ...],
    target: str | None,
    history: str | None,
    as_of: str | None,
    include_bots: bool,
    strict: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Measure archives: files, folders or globs of GH Archive hours and of activities.

    The files (*.json and *.activities.ndjson, also .gz and .zst) pass through the whole pipeline on this machine,
    ordered by hour. The state is deleted at the end unless --data-dir names a folder. With a folder, the same command
    resumes a replay that was interrupted or killed.

    The first bytes of a file show how it is compressed. Input that cannot be read is counted by reason. If nothing
    can be read, the exit code is 1.
    """
    from nomadwatch import unread
    from nomadwatch.logs import to_stderr
    from nomadwatch.processes.history import check_folder, next_step
    from nomadwatch.processes.replay import ReplayRequest, check_paths, replay
    from nomadwatch.settings import load
    from nomadwatch.terminal.console import tell
    from nomadwatch.terminal.progress import choose_progress
    from nomadwatch.terminal.write import check_target, form_of, write_report
    from nomadwatch.times import parse_time

    settings = load(flags).settings
    history = None if history is None else os.path.abspath(history)
    until = parse_time(as_of, "--as-of") if as_of is not None else None
    request = ReplayRequest(paths=paths, include_bots=include_bots, as_of=until, history=history, verbose=verbose)
    check_paths(paths)
    form = "table" if target is None else form_of(target)
    check_target(target, form)
    check_folder(history)
    to_stderr(verbose)
    with choose_progress() as progress:
        report, outcome = replay(request, settings, progress)
    if target is not None or not unread.is_empty(outcome):
        write_report(report, target, form)
    try:
        unread.check(report, outcome, strict=strict)
    finally:
        if history is not None and not unread.is_empty(outcome):
            said, *commands = next_step(history).splitlines()
            tell(said)
            for line in commands:
                click.echo(line, err=True)
