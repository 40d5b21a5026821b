"""Groups of commands: listed in sections with whole lines, imported when asked for, and guessed where a name is
misspelt.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import Final

import click

from nomadwatch.commands import SECTIONS
from nomadwatch.terminal.console import tell

# Old names of roles, which work until the next release.
_RENAMED: Final = {"aggregate": "count"}
# Summaries are not shortened: no line of help is this long.
_WHOLE: Final = 1_000


def current(name: str) -> str:
    """The name by which a command or role is called now; one line says so of an old one."""
    if name not in _RENAMED:
        return name
    tell(f"{name} is called {_RENAMED[name]} now; the old name works until the next release")
    return _RENAMED[name]


class RoleName(click.Choice[str]):
    """One of the names of roles, or an old one."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Raises BadParameter for any other."""
        return super().convert(current(value), param, ctx)


class Group(click.Group):
    """A group of commands that suggests the nearest name for one that does not exist."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UsageError, with the nearest command if one is near."""
        args = [current(args[0]), *args[1:]]
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0].lower(), self.list_commands(ctx), n=1)
            if near:
                error.message = f"{error.message.rstrip('.')}: did you mean {near[0]}?"
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, each with its whole first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.commands[name].get_short_help_str(_WHOLE)) for name in self.list_commands(ctx)]
            )


class Program(Group):
    """The commands of `SECTIONS`; each module is imported when its command is run or asked for its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order of the sections."""
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; None if there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = import_module(f"nomadwatch.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, from their summaries: nothing is imported."""
        for title, summaries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(summaries.items()))
