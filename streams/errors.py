"""What can go wrong in `streams`, named by the reaction wanted.

StreamsError                the message is one line that says what to do
├── UsageError              the person has to change the command (exit code 2)
│   ├── InputMissing        a path that was named is absent, or holds nothing that can be read
│   ├── MixedIdentities     minimised and full archives cannot be measured together
│   ├── OtherReplay         the state holds a reading of something else
│   ├── PlatformError       NOMADWATCH_PLATFORMS names what is no platform
│   └── WatchlistError      the watchlist cannot be read
├── UnreadableCursor        a feed's record in the topic `cursors` was not written by this program: begin without it
├── TopicMismatch           the broker's topics are not the ones that are needed: change or remove them
└── BrokerAway              try again later
DeadLetter                  put the line aside, count it, go on
"""

import os
import re
from typing import Final

REASONS: Final = (
    "json",
    "not-an-event",
    "unknown-type",
    "missing-field",
    "bad-time",
    "future",
    "mixed-identity",
    "bad-activity",
    "truncated",
    "unreadable",
    "too-long",
)


class StreamsError(Exception):
    """The root; its text is one line for people."""


class UsageError(StreamsError):
    """Only another command helps (exit code 2)."""


class InputMissing(UsageError):
    """A path is absent, or there is nothing to read under it."""


class MixedIdentities(UsageError):
    """Two files name repositories in ways that cannot be joined."""


class OtherReplay(UsageError):
    """The state belongs to a reading of other files, or with other settings."""


class PlatformError(UsageError):
    """The list of further platforms names something that cannot be one."""


class WatchlistError(UsageError):
    """FILE:LINE: what is wrong with the watchlist and what to do."""


class TopicMismatch(StreamsError):
    """The broker's topics differ from what is needed; the text says what to do."""


class UnreadableCursor(StreamsError):
    """The record of the topic `cursors` with this `key` is no cursor of that feed."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


class BrokerAway(StreamsError):
    """No answer from the broker; trying again later may help."""


def in_words(error: BaseException) -> str:
    """What went wrong, in words: never the name of a class.

    >>> in_words(ConnectionRefusedError(111, "Connection refused")), in_words(TimeoutError()), in_words(KeyError("x"))
    ('connection refused', 'no answer in time', 'key')
    """
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        said = os.strerror(error.errno)
        return said[:1].lower() + said[1:]
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", type(error).__name__)
    return " ".join(word.lower() for word in words if word not in ("Error", "Exception")) or "an unexpected error"


class DeadLetter(Exception):
    """This line cannot be measured; `reason` is one of `REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
