"""What the lake is made from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from agents.facts import Rows


class Source(Protocol):
    """What the lake is made from: rows by hour, with the names of repositories and projects."""

    @property
    def projects(self) -> Sequence[str]:
        """The names that the numbers of projects in rows count from 1."""

    def hours(self) -> Mapping[int, int]:
        """The number of rows of each hour (µs) that has some, rising."""

    def read(self, begin: int, end: int) -> Rows:
        """The rows with `begin` ≤ time < `end` (µs)."""

    def all_names(self) -> Iterator[tuple[int, str]]:
        """(hash without a code, newest name) of every repository that has one."""
