"""How commands are listed and found: in sections, with whole lines, and with a guess where a name is misspelt."""

from difflib import get_close_matches
from typing import Any, Final

import click

from nomadwatch.terminal.console import tell

# Old names of roles, which work for one more release.
RENAMED: Final = {"aggregate": "count"}
# Every command of the program stands in one of them.
SECTIONS: Final = {
    "Watch": ("up", "demo", "watch", "bots"),
    "Replay": ("replay", "activities"),
    "Look": ("report", "feeds", "doctor"),
    "Run one role": ("streams", "count", "measure", "sinks", "broker", "topics", "health"),
}
_WHOLE: Final = 1_000


def renamed(name: str) -> str:
    """The name by which a role is called now; an old one is told."""
    if name not in RENAMED:
        return name
    tell(f"{name} is called {RENAMED[name]} now; the old name works until the next release")
    return RENAMED[name]


class RoleName(click.Choice[str]):
    """One of the names of roles, or an old one."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Raises BadParameter for any other."""
        return super().convert(renamed(value), param, ctx)


class Commands(click.Group):
    """A group of commands; those below it are of the same kind."""

    group_class = type

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises UsageError with the command that was meant, as far as one is near."""
        args = [renamed(args[0]), *args[1:]]
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0].lower(), self.list_commands(ctx), n=1)
            if near:
                error.message = f"{error.message.rstrip('.')}: did you mean {near[0]}?"
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by section, each with its whole first sentence."""
        left = {
            name: command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name)) is not None
        }
        sections: dict[str, Any] = {}
        if left.keys() >= set(SECTIONS["Watch"]):
            sections = {
                title: [(name, left.pop(name)) for name in names if name in left] for title, names in SECTIONS.items()
            }
        for title, commands in (*sections.items(), ("Commands", list(left.items()))):
            if commands:
                with formatter.section(title):
                    formatter.write_dl([(name, command.get_short_help_str(_WHOLE)) for name, command in commands])
