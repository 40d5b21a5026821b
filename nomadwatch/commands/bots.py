"""The commands about bots: who counts as one, and why."""

from nomadwatch.errors import Misuse
from streams import bots

_TITLES = {"github": "GitHub", "huggingface": "Hugging Face"}


def explain(login: str, platform: str) -> None:
    """The command `bots explain`: which rule makes a login a bot, and whose rule that is, or that none does."""
    login = login.strip().removeprefix("@")
    if not login:
        raise Misuse("whose login? name one: nomadwatch bots explain LOGIN")
    where = _TITLES[platform]
    rule = bots.explain(login, platform)
    if rule is not None:
        print(f"{login} on {where} is a bot: {rule.why}.\nrule: {rule.name}\nsource: {rule.source}")
        return
    applied = ", ".join(rule.name for rule in bots.RULES if not rule.optional)
    print(f"{login} on {where} is a person: none of the rules fits ({applied}).")
    if (wider := bots.explain(login, platform, substring=True)) is not None:
        print(
            f"An optional rule, which is not applied, would make it a bot: {wider.why} ({wider.name}; {wider.source})."
        )


def show(platform: str) -> None:
    """The command `bots list`: every login of a platform that is a bot by name, with its rule, one a line."""
    for login in sorted(bots.known(platform)):
        print(f"{login}\t{bots.rule_of(login, platform)}")
