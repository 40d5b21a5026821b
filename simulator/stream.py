"""Days of activities in the order of their arrival, in the form of the wire: quick input for whatever counts
them.
"""

from bisect import bisect_left
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from random import Random
from typing import Any, Final

from simulator.clock import DAY, HOUR, MINUTE
from simulator.population import Population

START: Final = 1_714_521_600_000_000
"""2024-05-01T00:00:00Z in µs."""

# (share, kind, action)
_MIXES: Final[dict[str, tuple[tuple[float, str, str | None], ...]]] = {
    "github": (
        (50, "push", None),
        (8, "star", "started"),
        (3, "fork", None),
        (3, "issue", "opened"),
        (2, "issue", "closed"),
        (5, "issue_comment", "created"),
        (1, "commit_comment", None),
        (4, "pull_request", "opened"),
        (2, "pull_request", "merged"),
        (2, "pull_request", "accepted"),
        (1, "pull_request", "closed"),
        (2, "review", "created"),
        (2, "review_comment", "created"),
        (2, "pull_request_comment", "created"),
        (3, "repository", None),
        (1, "release", "published"),
        (6, "branch", None),
        (3, "delete", None),
    ),
    "huggingface": (
        (50, "commit", None),
        (18, "like", None),
        (6, "repository", "created"),
        (6, "derivative", "created"),
        (4, "discussion", "opened"),
        (5, "discussion_comment", "created"),
        (3, "pull_request", "opened"),
        (2, "pull_request", "merged"),
        (2, "pull_request", "accepted"),
        (2, "pull_request_comment", "created"),
        (2, "discussion", "closed"),
        (2, "config", "updated"),
    ),
}
_HUB_SHARE: Final = 0.25


def five_days(
    seed: int,
    n: int,
    days: float = 5,
    disorder_hours: int = 6,
    duplicates: float = 0.01,
    late: float = 0.005,
    future: float = 0.001,
    start: int = START,
) -> list[dict[str, Any]]:
    """n activities of both platforms over some days, and the repeated ones, in the order of their `ingested_at`.

    Half of them happened up to 5 minutes, four in ten up to an hour, one in ten up to `disorder_hours` before they
    arrive; the share `late` 3 to 20 days before, `future` 2 minutes to 20 hours after. A repeated one keeps its id and
    time and arrives up to 30 hours later.

    Pull requests have threads. Merges are mostly of those that were opened, and some accepted contributions belong to
    an earlier merge.
    """
    random = Random(f"stream/{seed}")
    populations = {platform: Population(platform, seed, 20 + n // 8, 20 + n // 10) for platform in _MIXES}
    shares = {platform: list(accumulate(row[0] for row in mix)) for platform, mix in _MIXES.items()}
    arrivals: list[dict[str, Any]] = []
    pulls = _Pulls(random)
    for number in range(n):
        platform = "huggingface" if random.random() < _HUB_SHARE else "github"
        mix, share, population = _MIXES[platform], shares[platform], populations[platform]
        _, kind, action = mix[bisect_left(share, random.random() * share[-1])]
        repository = population.repository(random)
        actor = population.actor(repository, random)
        ingested_at = start + int(days * DAY * number / n)
        activity: dict[str, Any] = {
            "id": f"{platform}:{kind}:{number}",
            "platform": platform,
            "kind": kind,
            "occurred_at": _occurred(random, ingested_at, disorder_hours, late, future),
            "ingested_at": ingested_at,
            "repo_id": _hash(platform, repository.id),
            "repo": repository.name,
            "owner": repository.owner.login,
            "actor": _hash(platform, actor.id),
            "artefact": repository.artefact,
            "simulated": True,
        }
        if action is not None:
            activity["action"] = action
        if actor.bot:
            activity["bot"] = True
        if repository.project is not None:
            activity["project"] = repository.project
        if kind in ("push", "commit"):
            activity["commits"] = 1 if kind == "commit" else min(500, int(random.paretovariate(1.6)))
        if kind == "pull_request":
            activity = pulls.thread(activity, disorder_hours)
        arrivals.append(activity)
        if random.random() < duplicates:
            delay = random.choice((0, 1, MINUTE, HOUR, 3 * HOUR, 5 * HOUR, 30 * HOUR))
            arrivals.append({**activity, "ingested_at": ingested_at + delay})
    arrivals.sort(key=lambda activity: activity["ingested_at"])
    return arrivals


def _occurred(random: Random, ingested_at: int, disorder_hours: int, late: float, future: float) -> int:
    draw = random.random()
    if draw < late:
        return ingested_at - random.randrange(3 * DAY, 20 * DAY)
    if draw < late + future:
        return ingested_at + random.randrange(2 * MINUTE, 20 * HOUR)
    draw = random.random()
    span = 5 * MINUTE if draw < 0.5 else HOUR if draw < 0.9 else max(1, disorder_hours) * HOUR
    return ingested_at - int(random.random() * span)


class _Pulls:
    """The pull requests of all repositories."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._numbers: dict[int, int] = {}
        self._lively: dict[str, list[dict[str, Any]]] = {platform: [] for platform in _MIXES}
        self._merges: dict[str, list[dict[str, Any]]] = {platform: [] for platform in _MIXES}

    def thread(self, activity: dict[str, Any], disorder_hours: int) -> dict[str, Any]:
        """The activity, with the thread of the pull request that it happens to."""
        random, action, platform = self._random, activity["action"], activity["platform"]
        repository, now = activity["repo_id"], activity["ingested_at"]
        lively = self._lively[platform]
        if action == "opened":
            activity["thread"] = self._numbers[repository] = self._numbers.get(repository, 0) + 1
            lively.append(activity)
            return activity
        waiting = [
            merge for merge in self._merges[platform] if 0 <= now - merge["occurred_at"] < max(1, disorder_hours) * HOUR
        ]
        if action == "accepted" and waiting and random.random() < 0.7:
            # The source names whose contribution was merged, mostly rightly.
            merge = random.choice(waiting)
            self._merges[platform].remove(merge)
            named = {**merge, "id": f"{merge['id']}:accepted", "action": "accepted", "ingested_at": now}
            named.pop("bot", None)
            return {**named, **{key: activity[key] for key in ("actor", "bot") if key in activity}}
        # Some were opened before the beginning.
        activity["thread"] = self._numbers.get(repository, 0) + 1000
        if lively and random.random() < 0.8:
            opening = lively[-1 - int(len(lively) * random.random() ** 3)]
            place = ("repo_id", "repo", "owner", "artefact", "project", "thread")
            activity = {key: value for key, value in activity.items() if key not in place}
            activity |= {key: opening[key] for key in place if key in opening}
        if action == "merged":
            self._merges[platform].append(activity)
        return activity


@lru_cache(maxsize=200_000)
def _hash(platform: str, native: int) -> int:
    """64 bits of a platform's own number, spread evenly, so that every partition gets its share."""
    return int.from_bytes(blake2b(f"{platform}:{native}".encode(), digest_size=8).digest(), "big")
