"""The commands about the watchlist: what is watched, and whether a list is as it must be."""

import asyncio

from nomadwatch.errors import Failure
from nomadwatch.settings import Settings
from nomadwatch.terminal.console import console, print_json, table
from streams.watchlist import Project, Watchlist


def show(path: str, form: str) -> None:
    """The command `watch list`: each project with its governance and its places, of a file or (empty) of the built-in
    list.
    """
    projects = Watchlist.load(path or None).projects
    if form == "json":
        print_json([_as_json(project) for project in projects])
        return
    from rich.text import Text

    shown = table("project", "governance", "GitHub", "Hugging Face")
    for each in projects:
        cells = (
            each.project,
            each.governance or "–",
            "\n".join(each.github) or "–",
            "\n".join(each.huggingface) or "–",
        )
        shown.add_row(*map(Text, cells))
    console().print(shown)


def check(path: str) -> None:
    """The command `watch check`: a line with what stands in a file, or (empty) in the built-in list.

    Raises WatchlistError with the line that is wrong.
    """
    projects = Watchlist.load(path or None).projects
    github = sum(len(project.github) for project in projects)
    hub = sum(len(project.huggingface) for project in projects)
    counts = f"{_count(len(projects), 'project')}, {_count(github, 'place')} on GitHub, {hub} on Hugging Face"
    print(f"{path or 'the built-in watchlist'} is valid: {counts}")


def check_online(path: str, settings: Settings) -> None:
    """The same, and a line for each place that a platform does not list. Raises Failure where there is one."""
    from nomadwatch.commands.online import look

    check(path)
    found = asyncio.run(look(settings, Watchlist.load(path or None)))
    told = [place for place in found if place.verdict != "known"]
    for place in told:
        print(place)
    print(f"listed under the names in the watchlist: {len(found) - len(told)} of {_count(len(found), 'place')}")
    absent = sum(place.verdict == "absent" for place in told)
    if absent:
        raise Failure(f"{_count(absent, 'place')} {'is' if absent == 1 else 'are'} not listed; correct the watchlist")


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _as_json(project: Project) -> dict[str, object]:
    return {field: getattr(project, field) for field in Project.__slots__}
