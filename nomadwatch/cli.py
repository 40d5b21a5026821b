"""The command line: what can be asked, in words. Commands import what they need when they run, so that help is quick."""

import os
import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NoReturn, TypeVar

import click

from nomadwatch import __version__
from nomadwatch.errors import Failure, Interrupted, Misuse
from nomadwatch.terminal import output
from nomadwatch.terminal.console import guard, tell
from nomadwatch.terminal.listing import Commands, RoleName

Command = TypeVar("Command", bound=Callable[..., Any])
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
_FORMS = click.Choice(["table", "json", "csv", "parquet"])
_FORMS_WITHOUT_CSV = click.Choice(["table", "json"])
_WINDOWS = click.Choice(["1h", "24h", "7d", "30d"])
_STDOUT = "-"


def main() -> NoReturn:
    """The program: exit code 0 done, 1 failed, 2 wrong usage; every error is one line on stderr."""
    output.prepare()
    guard()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One command, up to the last line of its output; its exit code."""
    code = _run(arguments)
    try:
        sys.stdout.flush()
    except output.ReaderGone:
        return code or Failure.exit_code
    except Failure as unwritable:
        tell(str(unwritable))
        return code or unwritable.exit_code
    return code


def _run(arguments: list[str]) -> int:
    try:
        return nomadwatch.main(arguments, prog_name="nomadwatch", standalone_mode=False) or 0
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        print(help_wanted.format_message())
        return Misuse.exit_code
    except click.ClickException as error:
        tell(_usage(error))
        return Misuse.exit_code
    except (KeyboardInterrupt, click.Abort):
        tell("interrupted before anything was done")
        return Interrupted.exit_code
    except output.ReaderGone:
        return Failure.exit_code  # as `| head` leaves it
    except Exception as error:
        from nomadwatch.failures import explain

        failure = explain(error, retry=False)
        if failure is None:
            raise  # a fault of the program: whoever mends it wants to see where
        tell(str(failure))
        return failure.exit_code


def _usage(error: click.ClickException) -> str:
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "nomadwatch"
    if isinstance(error, click.NoSuchOption):
        # Of click's guesses the nearest, if it is near; the dashes that all options have in common say nothing.
        options = {option.lstrip("-"): option for option in error.possibilities or []}
        near = get_close_matches(error.option_name.lstrip("-"), options, n=1, cutoff=0.7)
        error.possibilities = None
        error.message = error.message.rstrip(".") + (f": did you mean {options[near[0]]}?" if near else "")
    message = error.format_message().rstrip(".")
    return f"{message} See {path} --help" if message.endswith("?") else f"{message}; see {path} --help"


def _option(name: str, *more: Any, **settings: Any) -> Callable[[Command], Command]:
    return click.option(name, *more, **settings)


_broker = _option(
    "--broker", metavar="HOST:PORT", help="A Kafka broker to work on.  [default: an embedded one; NOMADWATCH_BROKER]"
)
_data_dir = _option("--data-dir", metavar="DIR", help="The folder that keeps the state.  [NOMADWATCH_DATA_DIR]")
_prefix = _option("--prefix", metavar="TEXT", help="What stands before the names of the topics.  [NOMADWATCH_PREFIX]")
_partitions = _option(
    "--partitions",
    metavar="N",
    help="Partitions of the topics activity and panes.  [default: 8; NOMADWATCH_PARTITIONS]",
)
_verbose = _option(
    "-v", "--verbose", is_flag=True, help="Show the log of each process, and the traceback of one that died."
)


@click.group(cls=Commands, context_settings=_CONTEXT)
@click.version_option(__version__, "-V", "--version", message="nomadwatch %(version)s")
def nomadwatch() -> None:
    """Collaboration in open-source AI, on GitHub and the Hugging Face Hub, measured while it happens.

    Settings come from flags, else from environment variables (NOMADWATCH_…), else from nomadwatch.toml in this folder
    (or the file that NOMADWATCH_CONFIG names); `nomadwatch doctor` shows them. Exit codes: 0 done, 1 failed, 2 wrong
    usage.
    """


@nomadwatch.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@_option(
    "--report",
    "target",
    metavar="FILE",
    help="Write the report to this file (.csv, .parquet, else JSON; -: JSON on stdout).",
)
@_option(
    "--history",
    metavar="DIR",
    help="Write the figures at the end of each hour too, for Prometheus: OpenMetrics, a file a day.",
)
@_option(
    "--as-of", metavar="TIME", help="Measure as of this time (2015-01-01T15:00:00Z): what happened later is left out."
)
@_option("--include-bots", is_flag=True, help="Treat bots as people.")
@_option(
    "--strict",
    is_flag=True,
    help="Exit code 1 if any of the input cannot be read. Events of unknown types are no error.",
)
@_option(
    "--watchlist", metavar="FILE", help="The watched projects.  [default: the built-in list; NOMADWATCH_WATCHLIST]"
)
@_broker
@_data_dir
@_partitions
@_verbose
def replay(
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

    The files (*.json and *.activities.ndjson, also .gz and .zst) go through the whole pipeline on this machine, in the
    order of their hours. State is thrown away at the end unless --data-dir names a folder. With a folder, the same
    command resumes a replay that was interrupted or killed.

    The first bytes of a file say how it is packed. What cannot be read is counted by reason. If nothing can be read,
    the exit code is 1.
    """
    from nomadwatch import unread
    from nomadwatch.commands.history import check_folder, next_step
    from nomadwatch.commands.replay import Request, check_paths
    from nomadwatch.commands.replay import replay as run_replay
    from nomadwatch.settings import load
    from nomadwatch.terminal.show import choose, quiet_libraries
    from nomadwatch.terminal.write import check_target, form_of, write_report
    from nomadwatch.times import parse_time

    settings = load(flags).settings
    history = None if history is None else os.path.abspath(history)
    until = parse_time(as_of, "--as-of") if as_of is not None else None
    request = Request(paths=paths, include_bots=include_bots, as_of=until, history=history, verbose=verbose)
    check_paths(paths)
    form = "table" if target is None else form_of(target)
    check_target(target, form)
    check_folder(history)
    quiet_libraries(verbose)
    with choose() as show:
        report, outcome = run_replay(request, settings, show)
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


_port = _option(
    "--port",
    metavar="N",
    help="The port of the page and /metrics; 0 takes a free one.  [default: 9108; NOMADWATCH_PORT]",
)
_host = _option(
    "--host", metavar="ADDRESS", help="Where the page is served: 0.0.0.0 for every interface.  [default: 127.0.0.1]"
)
_allow_host = _option(
    "--allow-host",
    metavar="NAME",
    multiple=True,
    callback=lambda context, parameter, names: ",".join(names) or None,
    help="Answer requests for this host name too, behind a proxy; may be repeated.",
)


@nomadwatch.command()
@_host
@_port
@_allow_host
@_option(
    "--watchlist", metavar="FILE", help="The watched projects.  [default: the built-in list; NOMADWATCH_WATCHLIST]"
)
@_broker
@_data_dir
@_prefix
@_partitions
@_verbose
def up(verbose: bool, **flags: Any) -> None:
    """Watch GitHub and the Hugging Face Hub live, until Ctrl-C.

    Tokens come from GITHUB_TOKEN and HF_TOKEN (or from the files that GITHUB_TOKEN_FILE and HF_TOKEN_FILE name);
    without them the station keeps to what the platforms allow anybody. The state is kept in --data-dir [default:
    ~/.local/state/nomadwatch]: a station that is started again goes on where it was.
    """
    from nomadwatch.commands.station import run_station
    from nomadwatch.settings import load
    from nomadwatch.terminal.show import quiet_libraries
    from nomadwatch.terminal.summary import choose_summary

    settings = load(flags).settings
    quiet_libraries(verbose)
    with choose_summary() as summary:
        run_station(settings, summary, verbose=verbose)


@nomadwatch.command()
@_option(
    "--speed",
    type=click.FloatRange(1, 1440),
    default=30.0,
    show_default=True,
    help="How many simulated seconds pass in a second.",
)
@_option("--for", "seconds", type=click.FloatRange(min=1), help="End after so many seconds.  [default: at Ctrl-C]")
@_option("--seed", type=int, default=1, show_default=True, help="The number that the simulated world is made from.")
@_option(
    "--rate",
    type=click.FloatRange(0.1, 200),
    default=4.0,
    show_default=True,
    help="Events of GitHub in a simulated second.",
)
@_host
@_port
@_allow_host
@_data_dir
@_verbose
def demo(speed: float, seconds: float | None, seed: int, rate: float, verbose: bool, **flags: Any) -> None:
    """Show the station on a simulated GitHub and Hub: no token and no network is needed.

    Nothing is kept unless --data-dir names a folder. Each demonstration is a world of its own, so it needs a new
    folder.
    """
    from nomadwatch.commands.station import World, run_station
    from nomadwatch.settings import load
    from nomadwatch.terminal.show import quiet_libraries
    from nomadwatch.terminal.summary import choose_summary

    settings = load(flags).settings
    quiet_libraries(verbose)
    with choose_summary() as summary:
        run_station(settings, summary, World(seed=seed, speed=speed, rate=rate, seconds=seconds), verbose=verbose)


@nomadwatch.command()
@_option(
    "--format", "form", type=_FORMS, help="For people or programs.  [default: table; of a file by the end of its name]"
)
@_option(
    "--window", type=_WINDOWS, help="What the table shows in detail.  [default: the longest window that is covered]"
)
@_option("-o", "--output", "target", metavar="FILE", default=_STDOUT, help="Where to write.  [default: stdout]")
@_broker
@_data_dir
@_prefix
def report(form: str | None, window: str | None, target: str, **flags: Any) -> None:
    """Show what a station or a replay has measured.

    By default that is the station of `nomadwatch up`; --data-dir or --broker name another one.
    """
    from nomadwatch.latest import latest
    from nomadwatch.settings import load
    from nomadwatch.terminal.show import quiet_libraries
    from nomadwatch.terminal.write import check_target, form_of, write_report

    form = form or ("table" if target == _STDOUT else form_of(target))
    check_target(target, form)
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
        from nomadwatch.processes.alone import run_worker
        from nomadwatch.settings import load

        run_worker(name, load(flags).settings, verbose)

    command.__doc__ = what
    nomadwatch.command(name)(command)


_role(
    "count",
    "Run a worker that counts each activity once, until SIGTERM or Ctrl-C.\n\nSeveral of them share the partitions.",
)
_role(
    "measure", "Run the worker that makes measurements of what is counted, until SIGTERM or Ctrl-C.\n\nOne is enough."
)


@nomadwatch.command()
@_option(
    "--watchlist", metavar="FILE", help="The watched projects.  [default: the built-in list; NOMADWATCH_WATCHLIST]"
)
@_broker
@_data_dir
@_prefix
@_partitions
@_verbose
def streams(verbose: bool, **flags: Any) -> None:
    """Run the pollers of GitHub and the Hub, until SIGTERM or Ctrl-C.

    One is enough, and two of them would ask twice. The folder keeps the key of the actors' hashes unless
    NOMADWATCH_ACTOR_KEY is set.
    """
    from nomadwatch.processes.alone import run_streams
    from nomadwatch.settings import load

    run_streams(load(flags).settings, verbose)


@nomadwatch.command()
@_option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    default=_STDOUT,
    help="NAME.activities.ndjson, .gz or .zst.  [default: stdout]",
)
@_broker
@_data_dir
@_prefix
@_partitions
def activities(target: str, **flags: Any) -> None:
    """Write the activities of a station or a replay to a file that `replay` can read: JSON, one activity a line.

    By default they are those of the station of `nomadwatch up`; --data-dir or --broker name another one.

    The file names actors by keyed hashes only. It holds the text of issues and discussions that were opened.
    """
    from nomadwatch.commands.activities import write
    from nomadwatch.settings import load
    from nomadwatch.terminal.show import quiet_libraries

    quiet_libraries(verbose=False)
    write(load(flags).settings, target)


@nomadwatch.command()
@_option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9092,
    show_default=True,
    help="The port on 127.0.0.1; 0 takes a free one.",
)
@_data_dir
@_verbose
def broker(port: int, verbose: bool, **flags: Any) -> None:
    """Run the embedded broker by itself, for one machine, until SIGTERM or Ctrl-C."""
    from nomadwatch.processes.alone import run_broker
    from nomadwatch.settings import load

    run_broker(port, load(flags).settings, verbose)


@nomadwatch.command()
@_host
@_port
@_allow_host
@_broker
@_prefix
@_partitions
@_verbose
def sinks(verbose: bool, **flags: Any) -> None:
    """Show measurements over HTTP, until SIGTERM or Ctrl-C: a page for people, /metrics for Prometheus, /healthz.

    Several of them may run at once.
    """
    from nomadwatch.processes.sinks_role import run_alone
    from nomadwatch.settings import load

    run_alone(load(flags).settings, verbose)


@nomadwatch.command()
@click.argument("role", required=False, type=RoleName(["count", "measure", "sinks", "streams"]))
@_host
@_port
@_broker
@_data_dir
@_prefix
@_partitions
def health(role: str | None, **flags: Any) -> None:
    """Check that the roles are well, or one of them: a line for each role; exit code 0 if they are, else 1.

    Without --broker the station of `nomadwatch up` is checked. sinks is well if it answers on its port and shows
    figures of the last minute; streams and measure, if they have published within the last minute; count, if a
    worker of this host has partitions.
    """
    from nomadwatch.commands.health import show
    from nomadwatch.settings import load
    from nomadwatch.terminal.show import quiet_libraries

    quiet_libraries(verbose=False)
    show(role, load(flags))


@nomadwatch.command()
@_option(
    "--format", "form", type=_FORMS_WITHOUT_CSV, default="table", show_default=True, help="For people or programs."
)
@_broker
@_data_dir
@_prefix
def feeds(form: str, **flags: Any) -> None:
    """Show how each feed is doing.

    By default those of the station of `nomadwatch up`; --data-dir or --broker name another one.

    The columns: "seen" is the share of the last hour's events that were seen, "lag" the age of the newest event,
    "quota" how many requests the platform still allows, "gaps" how often and how long the feed could not see
    everything, by reason.
    """
    from nomadwatch.commands.feeds import show
    from nomadwatch.settings import load
    from nomadwatch.terminal.show import quiet_libraries

    quiet_libraries(verbose=False)
    show(load(flags).settings, form)


@nomadwatch.group()
def watch() -> None:
    """Show or check the watchlist: the projects that are watched."""


@watch.command("list")
@_option(
    "--watchlist", metavar="FILE", help="The watched projects.  [default: the built-in list; NOMADWATCH_WATCHLIST]"
)
@_option(
    "--format", "form", type=_FORMS_WITHOUT_CSV, default="table", show_default=True, help="For people or programs."
)
def watch_list(form: str, **flags: Any) -> None:
    """Show the watched projects and their places."""
    from nomadwatch.commands.watch import show
    from nomadwatch.settings import load

    show(load(flags).settings.watchlist, form)


@watch.command("check")
@click.argument("file", metavar="[FILE]", required=False)
@_option("--online", is_flag=True, help="Ask GitHub and the Hub for every name in it, too.")
def watch_check(file: str | None, online: bool) -> None:
    """Check a watchlist file (by default the one that is set).

    A file that is no watchlist is exit code 2, with the line and what to do. With --online, an owner or a repository
    that its platform does not list is exit code 1; repositories that have another name today are named.
    """
    from nomadwatch.commands.watch import check, check_online
    from nomadwatch.settings import load

    settings = load({}).settings
    path = settings.watchlist if file is None else file
    if online:
        check_online(path, settings)
    else:
        check(path)


@nomadwatch.group()
def bots() -> None:
    """Show which accounts count as bots, and why."""


_platform = _option(
    "--platform", type=click.Choice(["github", "huggingface"]), default="github", show_default=True, help="Where."
)


@bots.command("explain")
@click.argument("login", metavar="LOGIN")
@_platform
def bots_explain(login: str, platform: str) -> None:
    """Say whether a login is a bot, and by which rule.

    The rule is shown with its source. If no rule fits, the account counts as a person.
    """
    from nomadwatch.commands.bots import explain

    explain(login, platform)


@bots.command("list")
@_platform
def bots_list(platform: str) -> None:
    """List the logins that are bots by name, each with its rule."""
    from nomadwatch.commands.bots import show

    show(platform)


@nomadwatch.group()
def topics() -> None:
    """Create, check or delete the topics on a broker, or show how far behind the workers are."""


def _topics_command(name: str, what: str) -> None:
    @_broker
    @_prefix
    @_partitions
    def command(**flags: Any) -> None:
        from nomadwatch.commands import topics as commands
        from nomadwatch.settings import load
        from nomadwatch.terminal.show import quiet_libraries

        quiet_libraries(verbose=False)
        getattr(commands, name)(load(flags).settings)

    command.__doc__ = what
    topics.command(name)(command)


_topics_command("create", "Make the topics that are missing, and check the others.")
_topics_command(
    "check", "Compare the topics with what is needed. If they differ, the exit code is 1, and a line says what to do."
)
_topics_command("delete", "Remove the topics with everything in them, to begin anew.")
_topics_command("lag", "Show how far the workers are behind the feeds.")


@nomadwatch.command()
@_broker
@_data_dir
@_prefix
@_partitions
def doctor(**flags: Any) -> None:
    """Check the installation and its settings, and show where each setting comes from."""
    from nomadwatch.commands.doctor import examine
    from nomadwatch.settings import load
    from nomadwatch.terminal.show import quiet_libraries

    quiet_libraries(verbose=False)
    examine(load(flags, warn=False))
