"""`nomadwatch bots`: which accounts count as bots, and why."""

import click

from nomadwatch.commands import options
from nomadwatch.commands.listing import Group
from nomadwatch.errors import Misuse
from streams import bots, platforms

_platform = options.option(
    "--platform",
    type=click.Choice(list(platforms.TITLES)),
    default="github",
    show_default=True,
    help="The platform that the login belongs to.",
)


@click.group("bots", cls=Group)
def command() -> None:
    """Show which accounts count as bots, and why."""


@command.command("explain")
@click.argument("login", metavar="LOGIN")
@_platform
def explain(login: str, platform: str) -> None:
    """Show whether a login is a bot, and by which rule.

    The rule is shown with its source. If no rule matches, the account counts as a person.
    """
    login = login.strip().removeprefix("@")
    if not login:
        raise Misuse("the login is empty; give one: nomadwatch bots explain LOGIN")
    where = platforms.TITLES[platform]
    rule = bots.explain(login, platform)
    if rule is not None:
        print(f"{login} on {where} is a bot: {rule.why}.\nrule: {rule.name}\nsource: {rule.source}")
        return
    applied = ", ".join(rule.name for rule in bots.RULES if not rule.optional)
    print(f"{login} on {where} is a person: no rule matches ({applied}).")
    if (wider := bots.explain(login, platform, substring=True)) is not None:
        print(
            "An optional rule, which is not applied, would count it as a bot: "
            f"{wider.why} ({wider.name}; {wider.source})."
        )


@command.command("list")
@_platform
def show(platform: str) -> None:
    """List the logins that are bots by name, each with its rule."""
    for login in sorted(bots.known(platform)):
        print(f"{login}\t{bots.rule_of(login, platform)}")
