"""What a replay could not read, as one line, and whether the command fails because of it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from nomadwatch.errors import Failure
from nomadwatch.terminal.console import tell
from sinks.report import Report, in_words

if TYPE_CHECKING:
    from nomadwatch.processes.roles import Outcome
    from streams.archive.plan import Plan

# Events of types that are not measured are no error of the input.
_HARMLESS: Final = ("unknown-type",)
_MOST_NAMED: Final = 3


def is_empty(outcome: "Outcome") -> bool:
    """Whether nothing could be read. Activities after the requested end count as read."""
    return outcome.activities == 0 and outcome.after_as_of == 0


def check(report: Report, outcome: "Outcome", *, strict: bool) -> None:
    """Print what could not be read, and which hours are doubtful, on stderr.

    Raises Failure if nothing could be read; with `strict`, also if anything could not be read.
    """
    letters = report.input.dead_letters
    if is_empty(outcome):
        raise Failure(f"nothing could be read{_counts(letters)}: {outcome.nothing}")
    if report.input.hour_doubtful:
        tell(in_words(report.input.hour_doubtful))
    if not letters:
        return
    line = f"some of the input could not be measured{_counts(letters)}"
    if strict and letters.keys() - set(_HARMLESS):
        raise Failure(f"{line}, and --strict makes that an error")
    tell(f"{line}; everything else was")


def nothing_in(plan: "Plan") -> str:
    """In words, what the files of a plan are in which nothing could be read."""
    from streams.archive.forms import describe

    kinds: dict[str, list[str]] = {}
    for file in plan.files:
        kinds.setdefault(describe(file.path), []).append(file.name)
    named = [
        f"{names[0]} is {kind}" if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more: each is {kind}"
        for kind, names in kinds.items()
    ]
    return "; ".join([*named[:_MOST_NAMED], *(["and more"] if len(named) > _MOST_NAMED else [])])


def _counts(letters: Mapping[str, int]) -> str:
    return " (" + ", ".join(f"{reason} {count:,}" for reason, count in letters.items()) + ")" if letters else ""
