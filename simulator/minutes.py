"""What happened in each minute, by brute force: the activities of each partition and scope, counted with
dictionaries.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from simulator.accepted import credited
from simulator.clock import MINUTE
from simulator.deed import Deed
from simulator.wire import deed


class Place(NamedTuple):
    """A minute of a scope and partition: `start` in µs UTC."""

    scope: str
    partition: int
    start: int


@dataclass
class Minute:
    """All of one minute. Only `activities` counts bots; everything else is of people.

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


def minutes(activities: Iterable[Mapping[str, Any]], partitions: int) -> dict[Place, Minute]:
    """Every minute in which something happened, of activities in wire form; of those with the same id the first counts.
    Merges of known openers are credited to them.

    >>> one = {"id": "a", "platform": "github", "kind": "push", "occurred_at": 90_000_000, "repo_id": 5 << 32}
    >>> one |= {"repo": "o/r", "actor": 7}
    >>> found = minutes([one, one], partitions=4)
    >>> [(place.partition, place.start, minute.activities.total()) for place, minute in found.items()]
    [(1, 60000000, 1)]
    """
    found: dict[Place, Minute] = {}
    arrived: dict[str, Deed] = {}
    for activity in activities:
        done = deed(activity)
        arrived.setdefault(done.id, done)
    for done in credited(arrived.values()):
        for scope in ("all", "watched") if done.project is not None else ("all",):
            place = Place(scope, (done.repository >> 32) % partitions, done.occurred_at // MINUTE * MINUTE)
            minute = found.setdefault(place, Minute())
            minute.activities[done.platform, done.feature, "bot" if done.bot else "human"] += 1
            if done.bot:
                continue
            minute.repositories[done.repository, done.platform, done.feature] += 1
            minute.people[done.actor, done.platform, done.feature] += 1
            shown = (done.occurred_at, done.name)
            minute.names[done.repository] = max(shown, minute.names.get(done.repository, shown))
            if done.commits is not None:
                minute.commits[done.platform] += done.commits
            if done.project is not None:
                minute.projects[done.project, done.platform, done.artefact, done.feature] += 1
    return found
