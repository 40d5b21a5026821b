"""What the platforms state of watched projects; pollers publish it."""

from typing import Final

from agents.family import Family, row

_ROWS: Final = (
    row(
        "repository_popularity",
        "project platform artefact kind",
        "as stated",
        "exact",
        group="A",
        help=(
            "Stars, forks, watchers, likes and downloads as the platforms state them, summed over a watched project. "
            "These are levels, not events: compare their change over time. Read `repository_popularity_share_ratio` "
            "beside it: a sum over fewer repositories is lower."
        ),
        formula=(
            "sum of the numbers that the platform states for the project's repositories; one that does not answer is "
            "in the sum at its last number for a day, and one that is gone is not; absent before each was asked for "
            "once"
        ),
        source="GitHub REST API, repositories; Hugging Face Hub API, repository information",
    ),
    row(
        "repository_popularity_share_ratio",
        "project platform artefact kind share",
        "ratio",
        "exact",
        group="A",
        help=(
            "How many of a project's repositories are in the sum `repository_popularity`, as a share. If `counted` is "
            "below 1, some are missing in the sum. If `answered` is below 1, some are in the sum with an older "
            "number, or missing."
        ),
        formula=(
            "repositories that stated the number when they were last asked (`answered`), or at most a day ago "
            "(`counted`) ÷ the project's repositories that are known; an owner on the Hub that could never be listed "
            "counts as one"
        ),
        source="nomadwatch",
    ),
)

FAMILY: Final = Family(60, _ROWS)
