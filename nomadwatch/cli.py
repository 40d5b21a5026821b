"""The program `nomadwatch`: its commands, exit codes and one-line errors. The commands are in `nomadwatch.commands`."""

import sys
from difflib import get_close_matches
from typing import Final, NoReturn

import click

from nomadwatch import __version__
from nomadwatch.commands.listing import Program
from nomadwatch.errors import Failure, Interrupted, Misuse
from nomadwatch.terminal import output
from nomadwatch.terminal.console import guard, tell

_CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=Program, context_settings=_CONTEXT)
@click.version_option(__version__, "-V", "--version", message="nomadwatch %(version)s")
def nomadwatch() -> None:
    """Measure collaboration in open-source AI, on GitHub and the Hugging Face Hub, while it happens.

    Settings come from flags, then from environment variables (NOMADWATCH_…), then from nomadwatch.toml in the current
    folder or the file that NOMADWATCH_CONFIG names; `nomadwatch doctor` shows them. Exit codes: 0 done, 1 failed,
    2 wrong usage.
    """


def main() -> NoReturn:
    """Run the program. Exit code 0: done, 1: failed, 2: wrong usage. Every error is one line on stderr."""
    output.prepare()
    guard()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and flush its output; returns the exit code."""
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
        return Failure.exit_code  # the reader has left, as in `| head`
    except Exception as error:
        from nomadwatch.failures import explain

        failure = explain(error, retry=False)
        if failure is None:
            raise  # a fault of the program: the traceback is needed to mend it
        tell(str(failure))
        return failure.exit_code


def _usage(error: click.ClickException) -> str:
    """The line for wrong usage: what is wrong, the nearest name if one is near, and where help is."""
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "nomadwatch"
    if isinstance(error, click.NoSuchOption):
        # Click guesses too freely: the dashes that all options share count for it. Compare without them.
        options = {option.lstrip("-"): option for option in error.possibilities or []}
        near = get_close_matches(error.option_name.lstrip("-"), options, n=1, cutoff=0.7)
        error.possibilities = None
        error.message = error.message.rstrip(".") + (f": did you mean {options[near[0]]}?" if near else "")
    message = error.format_message().rstrip(".")
    return f"{message} See {path} --help" if message.endswith("?") else f"{message}; see {path} --help"
