"""Errors that end a command. Each is one line that says what is wrong and what to do.

Failure          exit code 1: the command could not do its work
├── Interrupted  exit code 1: a signal ended it before its work was done
└── Misuse       exit code 2: the command, a setting or a file is wrong
"""

from typing import ClassVar


class Failure(Exception):
    """Ends the command with exit code 1 and one line."""

    exit_code: ClassVar[int] = 1

    @staticmethod
    def of(exit_code: int, line: str) -> "Failure":
        """The failure that a role has reported from its process."""
        return Misuse(line) if exit_code == Misuse.exit_code else Failure(line)


class Interrupted(Failure):
    """Ends the command because of a signal."""


class Misuse(Failure):
    """Ends the command with exit code 2 and one line."""

    exit_code: ClassVar[int] = 2
