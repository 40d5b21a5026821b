"""The command line: what can be asked, in words. Commands import what they need when they run, so that help is quick."""

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

from nomadwatch import __version__
from nomadwatch.errors import Failure, Interrupted, Misuse

Command = TypeVar("Command", bound=Callable[..., Any])
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_FORMS = click.Choice(["table", "json", "csv"])
_WINDOWS = click.Choice(["1h", "24h", "7d", "30d"])
_STDOUT = "-"


def main() -> NoReturn:
    """The program: exit code 0 done, 1 failed, 2 wrong usage; every error is one line on stderr."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One command; its exit code."""
    try:
        return nomadwatch.main(arguments, prog_name="nomadwatch", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        print(help_wanted.format_message())
        return Misuse.exit_code
    except click.ClickException as error:
        _complain(_usage(error))
        return Misuse.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted before anything was done")
        return Interrupted.exit_code
    except BrokenPipeError:
        # Who read our output has gone (`| head`); nothing more can be said, not even at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Failure.exit_code
    except Exception as error:
        from nomadwatch.failures import explain

        failure = explain(error, retry=False)
        if failure is None:
            raise  # a fault of the program: whoever mends it wants to see where
        _complain(str(failure))
        return failure.exit_code


def _complain(line: str) -> None:
    print(f"nomadwatch: {line}", file=sys.stderr)


def _usage(error: click.ClickException) -> str:
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "nomadwatch"
    return f"{error.format_message().rstrip('.')}; see {path} --help"


def _option(name: str, *more: Any, **settings: Any) -> Callable[[Command], Command]:
    return click.option(name, *more, **settings)


_broker = _option("--broker", metavar="HOST:PORT", help="A Kafka broker to work on.  [default: an embedded one; NOMADWATCH_BROKER]")
_data_dir = _option("--data-dir", metavar="DIR", help="The folder that keeps the state.  [NOMADWATCH_DATA_DIR]")
_prefix = _option("--prefix", metavar="TEXT", help="What stands before the names of the topics.  [NOMADWATCH_PREFIX]")
_partitions = _option("--partitions", metavar="N", help="Partitions of the topics activity and panes.  [default: 8; NOMADWATCH_PARTITIONS]")
_verbose = _option("-v", "--verbose", is_flag=True, help="Show the processes' own log and what they died of.")


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, "-V", "--version", message="nomadwatch %(version)s")
def nomadwatch() -> None:
    """Collaboration in open-source AI, on GitHub and the Hugging Face Hub, measured while it happens.

    Settings come from flags, else from environment variables (NOMADWATCH_…), else from nomadwatch.toml in this folder (or the file that
    NOMADWATCH_CONFIG names); `nomadwatch doctor` shows them. Exit codes: 0 done, 1 failed, 2 wrong usage.
    """


@nomadwatch.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@_option("--report", "target", metavar="FILE", help="Write the report as JSON to this file (- for stdout), instead of showing a table.")
@_option("--as-of", metavar="TIME", help="Measure as if it were this time (2015-01-01T15:00:00Z): what is later does not count.")
@_option("--include-bots", is_flag=True, help="Treat bots as people.")
@_option("--watchlist", metavar="FILE", help="The watched projects.  [default: the list that comes along; NOMADWATCH_WATCHLIST]")
@_broker
@_data_dir
@_partitions
@_verbose
def replay(paths: tuple[str, ...], target: str | None, as_of: str | None, include_bots: bool, verbose: bool, **flags: Any) -> None:
    """Measure archives: files, folders or globs of GH Archive hours and of activities.

    The files (*.json and *.activities.ndjson, also .gz and .zst) go through the whole pipeline on this machine, in the order of their
    hours. State is thrown away at the end unless --data-dir names a folder: there a replay that was interrupted or killed goes on when the
    same command is repeated.
    """
    from nomadwatch.replay import Request, check_paths
    from nomadwatch.replay import replay as run_replay
    from nomadwatch.settings import load
    from nomadwatch.show import choose, quiet_libraries
    from nomadwatch.times import parse_time
    from nomadwatch.write import check_target, write_report

    settings = load(flags).settings
    until = parse_time(as_of, "--as-of") if as_of is not None else None
    request = Request(paths=paths, include_bots=include_bots, as_of=until, verbose=verbose)
    check_paths(paths)
    check_target(target)
    quiet_libraries(verbose)
    with choose() as show:
        report = run_replay(request, settings, show)
    write_report(report, target, "json" if target is not None else "table")


@nomadwatch.command()
@_option("--format", "form", type=_FORMS, default="table", show_default=True, help="For people or programs.")
@_option("--window", type=_WINDOWS, default="24h", show_default=True, help="What the table shows in detail.")
@_option("-o", "--output", "target", metavar="FILE", default=_STDOUT, help="Where to write.  [default: stdout]")
@_broker
@_data_dir
@_prefix
def report(form: str, window: str, target: str, **flags: Any) -> None:
    """Show what a station or a replay knows now: one with --data-dir, or one on --broker."""
    from nomadwatch.latest import latest
    from nomadwatch.settings import load
    from nomadwatch.show import quiet_libraries
    from nomadwatch.write import check_target, write_report

    check_target(target)
    quiet_libraries(verbose=False)
    write_report(latest(load(flags).settings), target, form, window)


def _role(name: str, what: str) -> None:
    """A command that runs one role in this process."""

    @_broker
    @_data_dir
    @_prefix
    @_partitions
    @_verbose
    def command(verbose: bool, **flags: Any) -> None:
        from nomadwatch.alone import run_worker
        from nomadwatch.settings import load

        run_worker(name, load(flags).settings, verbose)

    command.__doc__ = what
    nomadwatch.command(name)(command)


_role("aggregate", "Run a worker that makes panes of activities, until SIGTERM or Ctrl-C.\n\nSeveral of them share the partitions.")
_role("measure", "Run the worker that makes measurements of panes, until SIGTERM or Ctrl-C.\n\nOne is enough.")


@nomadwatch.command()
@_option("--port", type=click.IntRange(0, 65535), default=9092, show_default=True, help="The port on 127.0.0.1; 0 takes a free one.")
@_data_dir
@_verbose
def broker(port: int, verbose: bool, **flags: Any) -> None:
    """Run the embedded broker by itself, for one machine, until SIGTERM or Ctrl-C."""
    from nomadwatch.alone import run_broker
    from nomadwatch.settings import load

    run_broker(port, load(flags).settings, verbose)


@nomadwatch.group()
def topics() -> None:
    """The topics on a broker: make, check or delete them, see how far behind the workers are."""


def _topics_command(name: str, what: str) -> None:
    @_broker
    @_prefix
    @_partitions
    def command(**flags: Any) -> None:
        from nomadwatch import topics as commands
        from nomadwatch.settings import load
        from nomadwatch.show import quiet_libraries

        quiet_libraries(verbose=False)
        getattr(commands, name)(load(flags).settings)

    command.__doc__ = what
    topics.command(name)(command)


_topics_command("create", "Make the topics that are missing, and check the others.")
_topics_command("check", "Compare the topics with what is needed; exit code 1 and what to do where they differ.")
_topics_command("delete", "Remove the topics with everything in them, to begin anew.")
_topics_command("lag", "Show how far the workers are behind the feeds.")


@nomadwatch.command()
@_broker
@_data_dir
@_prefix
@_partitions
def doctor(**flags: Any) -> None:
    """Look whether everything is as it must be, and show every setting with where it comes from."""
    from nomadwatch.doctor import examine
    from nomadwatch.settings import load
    from nomadwatch.show import quiet_libraries

    quiet_libraries(verbose=False)
    examine(load(flags))
