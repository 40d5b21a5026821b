"""Which accounts are bots, and by which rule. Bots are counted beside people, never dropped.

Rules, the first that fits:

    suffix     GitHub shows an App's login with `[bot]` at its end
    platform   accounts that the platform or its well-known tools act through
    listed     hand-labelled logins (`bots.txt`; GitHub only, for a login means nothing on another platform)
    substring  `bot` anywhere in the login: an option, for it takes people too (Ye & Zhou 2026 dropped such names)
"""

from functools import lru_cache
from importlib.resources import files
from typing import Final

_PLATFORM_ACCOUNTS: Final = {
    "github": frozenset(
        {
            "copilot",
            "googlecodeexporter",
            "greatfirebot",
            "hubot",
            "pyup-bot",
            "regro-cf-autotick-bot",
            "scala-steward",
            "typescript-bot",
        }
    ),
    "huggingface": frozenset({"leaderboard-pr-bot", "librarian-bot", "parquet-converter", "sfconvertbot", "system"}),
}


@lru_cache(maxsize=1)
def listed() -> frozenset[str]:
    """The hand-labelled GitHub logins, case-folded."""
    lines = files("streams").joinpath("bots.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


@lru_cache(maxsize=4)
def known(platform: str) -> frozenset[str]:
    """All logins of a platform that are bots by name, case-folded."""
    return _PLATFORM_ACCOUNTS.get(platform, frozenset()) | (listed() if platform == "github" else frozenset())


def is_bot(login: str, platform: str = "github", *, substring: bool = False) -> bool:
    """Whether a login is a bot; `rule_of` says why."""
    name = login.casefold()
    return name.endswith("[bot]") or name in known(platform) or (substring and "bot" in name)


def rule_of(login: str, platform: str = "github", *, substring: bool = False) -> str | None:
    """The rule that makes this login a bot, or None for a person.

    >>> rule_of("dependabot[bot]"), rule_of("Copilot"), rule_of("snyk-bot"), rule_of("odorsey")
    ('suffix', 'platform', 'listed', None)
    >>> rule_of("talbot"), rule_of("talbot", substring=True), rule_of("system", "huggingface")
    (None, 'substring', 'platform')

    Source: METRICS, Vocabulary (human).
    """
    if not is_bot(login, platform, substring=substring):
        return None
    name = login.casefold()
    if name.endswith("[bot]"):
        return "suffix"
    if name in _PLATFORM_ACCOUNTS.get(platform, frozenset()):
        return "platform"
    return "listed" if name in known(platform) else "substring"
