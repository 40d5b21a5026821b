"""Which accounts are bots, and by which rule. Bots are counted beside people, never dropped."""

from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

from streams import platforms


@lru_cache(maxsize=platforms.MOST)
def listed(platform: str = "github") -> frozenset[str]:
    """The hand-labelled logins of a platform, case-folded; empty if there is no such list."""
    name = platforms.BY_ID[platform].bot_list
    lines = files("streams").joinpath(name).read_text(encoding="utf-8").splitlines() if name else []
    return frozenset(line for line in lines if line and not line.startswith("#"))


@lru_cache(maxsize=platforms.MOST)
def known(platform: str) -> frozenset[str]:
    """All logins of a platform that are bots by name, case-folded."""
    return platforms.BY_ID[platform].bots | listed(platform)


class Rule(NamedTuple):
    """What makes a login a bot: why, by which source, and `fits(case-folded login, platform)`. An `optional` rule
    applies on request.
    """

    name: str
    why: str
    source: str
    fits: Callable[[str, str], bool]
    optional: bool = False


# The first rule that matches counts.
RULES: Final = (
    Rule(
        "suffix",
        "the login ends in [bot], as GitHub shows those of Apps",
        "GitHub's naming of Apps",
        lambda login, _: login.endswith("[bot]"),
    ),
    Rule(
        "platform",
        "the platform itself or one of its well-known tools acts through this account",
        "this project's own list, streams/live/*/platform.py",
        lambda login, platform: login in platforms.BY_ID[platform].bots,
    ),
    Rule(
        # A login means nothing on another platform.
        "listed",
        "people who looked at the account's work labelled it a bot (GitHub only)",
        "OpenDigger's labelled bots, streams/bots.txt",
        lambda login, platform: login in listed(platform),
    ),
    Rule(
        "substring",
        "the login has `bot` in it; people's have, too",
        "Ye & Zhou 2026, From OSS to Open Source AI",
        lambda login, _: "bot" in login,
        optional=True,
    ),
)


def explain(login: str, platform: str = "github", *, substring: bool = False) -> Rule | None:
    """The rule that makes this login a bot, or None for a person. `substring`: apply the optional rule too."""
    name = login.casefold()
    for rule in RULES:
        if (substring or not rule.optional) and rule.fits(name, platform):
            return rule
    return None


def rule_of(login: str, platform: str = "github", *, substring: bool = False) -> str | None:
    """The name of the rule that makes this login a bot, or None for a person.

    >>> rule_of("dependabot[bot]"), rule_of("Copilot"), rule_of("snyk-bot"), rule_of("odorsey")
    ('suffix', 'platform', 'listed', None)
    >>> rule_of("talbot"), rule_of("talbot", substring=True), rule_of("system", "huggingface")
    (None, 'substring', 'platform')

    Source: docs/metrics.md (label `actor`).
    """
    rule = explain(login, platform, substring=substring)
    return rule and rule.name


def is_bot(login: str, platform: str = "github", *, substring: bool = False) -> bool:
    """Whether a login is a bot; `explain` says why."""
    name = login.casefold()
    if "bot" not in name and name not in known(platform):
        return False  # no rule matches; a fast path, because most accounts are people
    return explain(login, platform, substring=substring) is not None
