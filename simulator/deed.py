"""A deed: what the world meant by a line that it wrote. The truth counts deeds, never lines."""

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

    `repository` and `actor` identify within their platform; `name` is what the repository is shown as. `commits` is
    None where the source does not say, `project` None where the repository is not watched. `turn` is what a deed of the
    pull request `thread` was: `opened`, `merged`, or `accepted` where the line itself says whose contribution a merge
    accepted (its id is the merge's and `:accepted`).
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
