"""What every pane must hold, by brute force: the activities of each interval, partition and scope, counted with
dictionaries.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from simulator.accepted import credited
from simulator.clock import DAY, HOUR, MINUTE
from simulator.deed import Deed
from simulator.wire import deed

GRAINS: Final = {"minute": MINUTE, "hour": HOUR, "day": DAY}


class Place(NamedTuple):
    """Which pane: `start` in µs UTC."""

    scope: str
    partition: int
    grain: str
    start: int


@dataclass
class Pane:
    """All of one pane. Only `activities` and `ids` know bots; everything else is of people.

    `activities` {(platform, feature, "human" or "bot"): n}, `commits` {platform: n known}, `projects` {(project,
    platform, artefact, feature): n}, `repositories` {(repo_id, platform, feature): n}, `people` {(actor, platform,
    feature): n}, `names` {repo_id: (newest time, name)}.
    """

    activities: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    commits: Counter[str] = field(default_factory=Counter)
    projects: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    repositories: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    people: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    names: dict[int, tuple[int, str]] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)


def panes(activities: Iterable[Mapping[str, Any]], partitions: int) -> dict[Place, Pane]:
    """Every pane that is not empty, of activities in wire form; of those with the same id the first counts.

    Merges of known openers are credited to them. A pane is given whole, whether or not it is still kept or was ever
    open at its grain.

    >>> one = {"id": "a", "platform": "github", "kind": "push", "occurred_at": 90_000_000, "actor": 7}
    >>> one |= {"repo_id": 5 << 32, "repo": "o/r"}
    >>> found = panes([one, one], partitions=4)
    >>> [(place.grain, place.partition, place.start, pane.activities.total()) for place, pane in found.items()]
    [('minute', 1, 60000000, 1), ('hour', 1, 0, 1), ('day', 1, 0, 1)]
    """
    found: dict[Place, Pane] = {}
    arrived: dict[str, Deed] = {}
    for activity in activities:
        done = deed(activity)
        arrived.setdefault(done.id, done)
    for done in credited(arrived.values()):
        for scope in ("all", "watched") if done.project is not None else ("all",):
            for grain, step in GRAINS.items():
                place = Place(scope, (done.repository >> 32) % partitions, grain, done.occurred_at // step * step)
                pane = found.setdefault(place, Pane())
                pane.activities[done.platform, done.feature, "bot" if done.bot else "human"] += 1
                pane.ids.add(done.id)
                if done.bot:
                    continue
                pane.repositories[done.repository, done.platform, done.feature] += 1
                pane.people[done.actor, done.platform, done.feature] += 1
                shown = (done.occurred_at, done.name)
                pane.names[done.repository] = max(shown, pane.names.get(done.repository, shown))
                if done.commits is not None:
                    pane.commits[done.platform] += done.commits
                if done.project is not None:
                    pane.projects[done.project, done.platform, done.artefact, done.feature] += 1
    return found
