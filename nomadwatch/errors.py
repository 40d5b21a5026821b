"""What ends a command, told in one line: what is wrong, and what to do.

Failure          exit code 1: the world is not as the command needs it
├── Interrupted  exit code 1: somebody ended it before its work was done
└── Misuse       exit code 2: the command, a setting or a named file is wrong
"""

from typing import ClassVar


class Failure(Exception):
    """Ends the command with exit code 1 and this line."""

    exit_code: ClassVar[int] = 1

    @staticmethod
    def of(exit_code: int, line: str) -> "Failure":
        """The failure that a role reported from its own process."""
        return Misuse(line) if exit_code == Misuse.exit_code else Failure(line)


class Interrupted(Failure):
    """Ends the command because a signal asked for it."""


class Misuse(Failure):
    """Ends the command with exit code 2 and this line."""

    exit_code: ClassVar[int] = 2
