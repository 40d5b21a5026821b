"""Activities on the generated Hugging Face Hub, which has no feed of events."""

import json
from bisect import bisect_left
from itertools import accumulate
from random import Random
from typing import Any, Final

from simulator.population import WATCHED, Person, Population, SimulatedRepository, Watched
from simulator.prose import Prose

# (share, kind, action)
_MIX: Final[tuple[tuple[float, str, str | None], ...]] = (
    (52.0, "commit", None),
    (16.0, "like", None),
    (6.0, "repository", "created"),
    (6.0, "derivative", "created"),
    (4.0, "discussion", "opened"),
    (5.0, "discussion_comment", "created"),
    (3.0, "pull_request", "opened"),
    (2.0, "pull_request_comment", "created"),
    (1.5, "pull_request", "merged"),
    (1.0, "discussion", "closed"),
    (1.0, "delete", None),
    (1.0, "move", None),
    (1.5, "config", "updated"),
)
_RELATIONS: Final = ("finetune", "adapter", "merge", "quantized")
_THREADED: Final = ("discussion", "discussion_comment", "pull_request", "pull_request_comment")


class HubActs:
    """The Hub with a seed: the same calls give the same activities, in the form of the wire."""

    def __init__(self, seed: int, *, repositories: int, people: int, watched: Watched = WATCHED) -> None:
        self.population = Population("huggingface", seed, repositories, people, watched)
        self._random = Random(f"hub/{seed}")
        self._prose = Prose(seed)
        total = list(accumulate(row[0] for row in _MIX))
        self._shares = [share / total[-1] for share in total]
        self._serial = 0
        self._numbers: dict[int, int] = {}

    def happen(self, time: int, ingested_at: int, *, merges: bool = True) -> list[dict[str, Any]]:
        """The activities of the next thing that happens, at a time in µs; a merge is two activities."""
        _, kind, action = _MIX[bisect_left(self._shares, self._random.random())]
        if action == "merged" and not merges:
            action = "closed"
        repository = self.population.repository(self._random)
        own = kind in ("commit", "repository", "delete", "move", "config")
        actor = (
            self.population.actor(repository, self._random, bots=kind != "like")
            if own
            else self._visitor(kind, repository)
        )
        self._serial += 1
        activity: dict[str, Any] = {
            "id": f"huggingface:{kind}:{repository.id}:{self._serial}",
            "platform": "huggingface",
            "kind": kind,
            **({"action": action} if action else {}),
            "occurred_at": time,
            "ingested_at": ingested_at,
            "repo_id": repository.id,
            "repo": repository.name,
            "owner": repository.owner.login,
            **_person(actor),
            "artefact": repository.artefact,
            **({"project": repository.project} if repository.project else {}),
            **self._details(kind, action, repository),
            "simulated": True,
        }
        if action != "merged":
            return [activity]
        opener = self.population.actor(repository, self._random)
        accepted = {**activity, "id": f"{activity['id']}:accepted", "action": "accepted", "actor": opener.id}
        accepted.pop("bot", None)
        return [activity, accepted | _person(opener)]

    def _visitor(self, kind: str, repository: SimulatedRepository) -> Person:
        if kind == "like" or self._random.random() < 0.8:
            return self.population.anyone(self._random)
        return self.population.actor(repository, self._random)

    def _details(self, kind: str, action: str | None, repository: SimulatedRepository) -> dict[str, Any]:
        if kind == "commit":
            return {"commits": 1}
        if kind == "derivative":
            return {"family": repository.name, "relation": self._random.choice(_RELATIONS)}
        if kind not in _THREADED:
            return {}
        if action != "opened":
            return {"thread": self._random.randint(1, self._numbers.get(repository.id, 0) + 1)}
        self._numbers[repository.id] = thread = self._numbers.get(repository.id, 0) + 1
        return {"thread": thread, **({"text": json.loads(f'"{self._prose.title()}"')} if kind == "discussion" else {})}


def _person(person: Person) -> dict[str, Any]:
    return {"actor": person.id, "bot": True} if person.bot else {"actor": person.id}
