"""Why the Hub refuses a request, told apart by what a person can do about it.

A refusal concerns only what was asked for: it is not repeated at once, and the rest of the repository is read.
"""

import re
from collections.abc import Mapping
from typing import Final

from streams.live.common.http import Gone, Unreachable

# The wording of the states; `nomadwatch feeds`, the page and the documentation quote them.
GATED: Final = "gated: accept its terms and set HF_TOKEN"
GATED_FOR_TOKEN: Final = (
    "gated: accept its terms with the account of HF_TOKEN, and let the token read gated repositories"
)
NOT_PUBLIC: Final = "not public without a token: set HF_TOKEN"
DISABLED: Final = "disabled by the Hub"
LEGAL: Final = "unavailable for legal reasons"
_DISABLED_MESSAGE: Final = "access to this resource is disabled"
# If discussions are switched off, there is nothing to see, and nothing is missed.
_SWITCHED_OFF: Final = re.compile(
    r"(discussions?|community)\b.*\b(disabled|turned off|switched off|not enabled)", re.IGNORECASE
)
_LONGEST_MESSAGE: Final = 80


class HubRefused(Gone):
    """What was asked for exists but may not be seen. `reason` says why, in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TokenRefused(Unreachable):
    """The token that was sent is not valid: every request is refused until another one is set."""


def refusal(status: int, headers: Mapping[str, str], *, signed_in: bool) -> Gone | None:
    """What an answer with this status refuses; None if it refuses nothing. `signed_in`: a token was sent.

    A 401 with a token is about the token, not about what was asked for: None.

    >>> refusal(401, {"X-Error-Code": "GatedRepo"}, signed_in=False)
    HubRefused('gated: accept its terms and set HF_TOKEN')
    >>> refusal(401, {"X-Error-Code": "RepoNotFound"}, signed_in=False), refusal(404, {}, signed_in=True)
    (Gone(), Gone())
    >>> refusal(401, {}, signed_in=False), refusal(401, {}, signed_in=True)
    (HubRefused('not public without a token: set HF_TOKEN'), None)
    >>> refusal(403, {"X-Error-Message": "Access to this resource is disabled."}, signed_in=True)
    HubRefused('disabled by the Hub')
    >>> refusal(403, {"X-Error-Message": "Discussions are disabled for this repo"}, signed_in=True)
    Gone()
    >>> refusal(403, {"X-Error-Message": "Not in your region"}, signed_in=True), refusal(500, {}, signed_in=True)
    (HubRefused('refused: Not in your region'), None)
    """
    code = headers.get("X-Error-Code", "")
    if code == "GatedRepo":
        return HubRefused(GATED_FOR_TOKEN if signed_in else GATED)
    if status in (404, 410) or code == "RepoNotFound":
        return Gone()
    if status == 451:
        return HubRefused(LEGAL)
    if status == 401 and not signed_in:
        return HubRefused(NOT_PUBLIC)
    if status == 403:
        message = "".join(each for each in headers.get("X-Error-Message", "") if each.isascii() and each.isprintable())
        if _DISABLED_MESSAGE in message.casefold():
            return HubRefused(DISABLED)
        # A 403 without a message does not say whether the thing exists.
        return (
            HubRefused(f"refused: {message[:_LONGEST_MESSAGE]}")
            if message and not _SWITCHED_OFF.search(message)
            else Gone()
        )
    return None
