"""`nomadwatch watch`: the watchlist, shown and checked."""

import asyncio
from typing import Any

import click

from nomadwatch.commands import options
from nomadwatch.commands.listing import Group
from nomadwatch.errors import Failure
from nomadwatch.settings import Settings, load
from nomadwatch.terminal.console import console, print_json, table
from streams import platforms
from streams.watchlist import Project, Watchlist


@click.group("watch", cls=Group)
def command() -> None:
    """Show or check the watchlist: the projects that are watched."""


@command.command("list")
@options.watchlist
@options.table_or_json
def list_command(form: str, **flags: Any) -> None:
    """Show the watched projects with their owners and repositories on both platforms."""
    show(load(flags).settings.watchlist, form)


@command.command("check")
@click.argument("file", metavar="[FILE]", required=False)
@options.option("--online", is_flag=True, help="Also look up every name on GitHub and the Hub.")
def check_command(file: str | None, online: bool) -> None:
    """Check a watchlist file (by default the one in the settings).

    An invalid file gives exit code 2 and a line that says where and why. With --online, an owner or a repository that
    its platform does not list gives exit code 1, and repositories that were renamed are shown with their new name.
    """
    settings = load({}).settings
    path = settings.watchlist if file is None else file
    if online:
        check_online(path, settings)
    else:
        check(path)


def show(path: str, form: str) -> None:
    """Print each project with its governance and places. `path`: a file, or empty for the built-in list."""
    projects = Watchlist.load(path or None).projects
    if form == "json":
        print_json([_as_json(project) for project in projects])
        return
    from rich.text import Text

    shown = table("project", "governance", *platforms.TITLES.values())
    for each in projects:
        cells = (
            each.project,
            each.governance or "–",
            *("\n".join(places) or "–" for places in each.places.values()),
        )
        shown.add_row(*map(Text, cells))
    console().print(shown)


def check(path: str) -> None:
    """Print a line with the size of a watchlist file, or (empty) of the built-in list. Raises WatchlistError."""
    projects = Watchlist.load(path or None).projects
    numbers = {platform: sum(len(project.places[platform]) for project in projects) for platform in platforms.TITLES}
    first, *others = ((platforms.TITLES[platform], number) for platform, number in numbers.items())
    counts = [_count(len(projects), "project"), f"{_count(first[1], 'place')} on {first[0]}"]
    counts += [f"{number} on {title}" for title, number in others]
    print(f"{path or 'the built-in watchlist'} is valid: {', '.join(counts)}")


def check_online(path: str, settings: Settings) -> None:
    """Also print a line for each place that its platform does not list. Raises Failure if there is one."""
    from nomadwatch.online import look

    check(path)
    found = asyncio.run(look(settings, Watchlist.load(path or None)))
    told = [each for each in found if each.verdict.verdict != "known"]
    for each in told:
        print(each)
    print(f"listed under the names in the watchlist: {len(found) - len(told)} of {_count(len(found), 'place')}")
    absent = sum(each.verdict.verdict == "absent" for each in told)
    if absent:
        raise Failure(f"{_count(absent, 'place')} {'is' if absent == 1 else 'are'} not listed; correct the watchlist")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _as_json(project: Project) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in Project.__slots__:
        found |= project.places if field == "places" else {field: getattr(project, field)}
    return found
