"""Activities by columns: what the summaries of a pane take in, from many activities at once.

Counting a column in C is several times faster than updating every summary for each activity; this is the aggregate
worker's inner loop.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from agents.operators.threads import Turn
from streams.activity import FEATURES, PLATFORMS, Activity, feature_of

# The low four bits of a key of repositories and people say platform and feature, the others are the hash.
HASH_BITS: Final = (1 << 64) - 16
FEATURE_BITS: Final = 7


class _Codes(dict[tuple[str, str, str | None], int]):
    """(platform, kind, action) to `platform << 3 | feature`, filled as they are met."""

    def __missing__(self, key: tuple[str, str, str | None]) -> int:
        platform, kind, action = key
        code = self[key] = PLATFORMS.index(platform) << 3 | FEATURES.index(feature_of(kind, action))
        return code


_CODES: Final = _Codes()
_CODE_NAMES: Final = tuple(f"{platform}/{feature}" for platform in PLATFORMS for feature in FEATURES)


class Columns:
    """What a group of activities of one minute adds to each summary of a pane.

    `repositories` and `people` are keys, one a human activity; `names` maps a repository (its key without the feature)
    to its name, of several in one minute to the greatest; `counts` are named counters: `PLATFORM/FEATURE/human|bot`,
    the sum of known commit counts of humans as `PLATFORM/commits` and how many activities stated one as
    `PLATFORM/commits_stated`, and of activities that belong to a project `project/PROJECT/PLATFORM/ARTEFACT/FEATURE`.
    `turns` are those of pull requests, by thread.
    """

    __slots__ = ("counts", "ids", "minute", "names", "people", "repositories", "turns")

    def __init__(self, minute: int, activities: Iterable[Activity], ids: list[int], turns: Iterable[Turn] = ()) -> None:
        codes = _CODES
        humans: list[int] = []
        bots: list[int] = []
        projects: list[tuple[str, int, str]] = []
        repositories: list[int] = []
        people: list[int] = []
        names: dict[int, str] = {}
        counts: dict[str, int] = {}
        commits: dict[str, list[int]] = {}
        for a in activities:
            code = codes[a.platform, a.kind, a.action]
            if a.bot:
                bots.append(code)
                continue
            humans.append(code)
            repository = a.repo_id & HASH_BITS | code
            repositories.append(repository)
            people.append(a.actor & HASH_BITS | code)
            name = a.repo
            if names.setdefault(repository & ~FEATURE_BITS, name) < name:
                names[repository & ~FEATURE_BITS] = name
            if a.commits is not None:
                commits.setdefault(a.platform, []).append(a.commits)
            if a.project is not None:
                projects.append((a.project, code, a.artefact))
        for platform, stated in commits.items():
            counts[platform + "/commits"], counts[platform + "/commits_stated"] = sum(stated), len(stated)
        for code, n in Counter(humans).items():
            counts[_CODE_NAMES[code] + "/human"] = n
        for code, n in Counter(bots).items():
            counts[_CODE_NAMES[code] + "/bot"] = n
        for (project, code, artefact), n in Counter(projects).items():
            platform, feature = _CODE_NAMES[code].split("/")
            counts[f"project/{project}/{platform}/{artefact}/{feature}"] = n
        self.minute, self.ids, self.counts, self.names = minute, ids, counts, names
        self.repositories, self.people = repositories, people
        self.turns: dict[int, list[Turn]] = {}
        for turn in turns:
            self.turns.setdefault(turn.thread, []).append(turn)
