"""Numbers for what stored rows contain: platforms, features, kinds, actions, affiliations, artefacts, relations.

Each table only grows at its end, because its numbers are in stored rows.
"""

from collections.abc import Sequence
from typing import Final

from streams.activity import AFFILIATIONS, ARTEFACTS, FEATURES, PLATFORMS, feature_of

# A code is `platform << FEATURE_BITS | feature`; a key of repositories or people is a hash whose low CODE_BITS are a
# code.
PLATFORM_BITS: Final = 4
FEATURE_BITS: Final = 4
CODE_BITS: Final = PLATFORM_BITS + FEATURE_BITS
CODES: Final = 1 << CODE_BITS
FEATURE_MASK: Final = (1 << FEATURE_BITS) - 1
# What of a key says the repository or the person.
HASH_MASK: Final = (1 << 64) - CODES

# What a source did not state, or no table contains.
OTHER: Final = 0
KINDS: Final = (
    "",
    "push",
    "commit",
    "issue",
    "issue_comment",
    "commit_comment",
    "discussion",
    "discussion_comment",
    "star",
    "like",
    "pull_request",
    "pull_request_comment",
    "review",
    "review_comment",
    "fork",
    "derivative",
    "repository",
    "release",
    "public",
    "branch",
    "tag",
    "delete",
    "move",
    "wiki",
    "member",
    "config",
)
ACTIONS: Final = (
    "",
    "opened",
    "created",
    "submitted",
    "started",
    "forked",
    "published",
    "closed",
    "reopened",
    "merged",
    "accepted",
    "labeled",
    "unlabeled",
    "edited",
    "deleted",
    "added",
    "removed",
    "updated",
)
RELATIONS: Final = ("", "finetune", "adapter", "merge", "quantized")


class CodeTable(dict[str | None, int]):
    """Words to numbers; None, and words that the table lacks, are OTHER.

    >>> table = CodeTable(("", "push", "commit"))
    >>> table["commit"], table["unheard of"], table[None]
    (2, 0, 0)
    """

    def __init__(self, words: Sequence[str | None]) -> None:
        super().__init__((word, number) for number, word in enumerate(words))
        assert len(self) == len(words) <= 256, "a number of a table is one byte"

    def __missing__(self, word: str | None) -> int:
        return OTHER


class _FeatureCodes(dict[tuple[str, str, str | None], int]):
    """(platform, kind, action) to code, filled on demand."""

    def __missing__(self, key: tuple[str, str, str | None]) -> int:
        platform, kind, action = key
        if len(self) >= 4096:
            self.clear()
        code = self[key] = code_of(platform, feature_of(kind, action))
        return code


def code_of(platform: str, feature: str) -> int:
    """The code of a platform and feature.

    >>> code_of("github", "contribution"), code_of("huggingface", "exchange")
    (0, 18)
    """
    return PLATFORMS.index(platform) << FEATURE_BITS | FEATURES.index(feature)


def names_of(code: int) -> tuple[str, str]:
    """The platform and the feature of a code.

    >>> names_of(18)
    ('huggingface', 'exchange')
    """
    return PLATFORMS[code >> FEATURE_BITS], FEATURES[code & FEATURE_MASK]


assert len(PLATFORMS) <= 1 << PLATFORM_BITS
assert len(FEATURES) <= 1 << FEATURE_BITS
assert CODE_BITS <= 8, "a code is one byte"

CODE: Final = _FeatureCodes()
KIND: Final = CodeTable(KINDS)
ACTION: Final = CodeTable(ACTIONS)
AFFILIATION: Final = CodeTable(AFFILIATIONS)
ARTEFACT: Final = CodeTable(ARTEFACTS)
RELATION: Final = CodeTable(RELATIONS)
