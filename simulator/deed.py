"""A deed: the meaning of a line that the world wrote. The truth counts deeds, never lines."""

from typing import Final, NamedTuple

PLATFORMS: Final = ("github", "huggingface")
FEATURES: Final = (
    "contribution",
    "accepted",
    "exchange",
    "preference",
    "review",
    "adaptation",
    "publication",
    "upkeep",
)


class Deed(NamedTuple):
    """One thing that one actor did to one repository. `occurred_at` in µs UTC.

    `repository` and `actor` are ids within their platform; `name` is the repository's name. `commits` is None if the
    source does not state it, `project` None if the repository is not watched. `turn` is the step of the pull request
    `thread`: `opened`, `merged`, or `accepted` if the line itself says whose contribution a merge accepted (its id is
    the merge's and `:accepted`).
    """

    id: str
    platform: str
    feature: str
    occurred_at: int
    repository: int
    name: str
    actor: int
    bot: bool = False
    commits: int | None = None
    project: str | None = None
    artefact: str = "software"
    thread: int | None = None
    turn: str = ""
