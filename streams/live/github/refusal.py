"""Refusals by GitHub that are no rate limit: an organisation's policy, a block, a missing permission.

A refusal concerns one feed alone, whose state gives the reason in GitHub's words.
"""

import re
from contextlib import suppress
from typing import Final

import msgspec

from streams.github_payloads import UNDECODABLE
from streams.live.common.http import Answer, Unreachable
from streams.texts import without_names

REFUSALS: Final = (403, 451)
_LONGEST: Final = 200
# How much is read of a body that is not JSON, such as a proxy's page.
_READ: Final = 4_096
_ADDRESS: Final = re.compile(r"\b(\d{1,3}(\.\d{1,3}){3}|[0-9a-f]{0,4}(:[0-9a-f]{0,4}){3,7})\b", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^>]*>")
# A pattern in the message → what to do.
_REMEDIES: Final = (
    (re.compile(r"\bsaml\b|single sign-?on", re.IGNORECASE), "authorise the token for that organisation"),
    (re.compile(r"oauth app", re.IGNORECASE), "use a personal access token, or let the organisation approve the app"),
    (re.compile(r"\bIP (address|allow)", re.IGNORECASE), "ask from an address that the organisation allows"),
    (
        re.compile(r"personal access token|by integration", re.IGNORECASE),
        "use a token of the kind, age and permissions that it asks for",
    ),
    (
        re.compile(r"access blocked|dmca|legal", re.IGNORECASE),
        "it is blocked for everybody; nothing can be done about it here",
    ),
    (re.compile(r"suspended", re.IGNORECASE), "the account of the token is suspended; use another token"),
)


class FeedRefused(Unreachable):
    """This feed is refused, and waiting does not help: it is polled rarely. The text says why."""


class _Message(msgspec.Struct):
    message: str = ""


class _Block(msgspec.Struct):
    reason: str = ""


class _Blocked(msgspec.Struct):
    block: _Block


_decode: Final = msgspec.json.Decoder(_Message).decode
_decode_blocked: Final = msgspec.json.Decoder(_Blocked).decode


def message_of(answer: Answer) -> str:
    """The text of an error: its `message`, or the beginning of a body that is not JSON; without addresses and @names.

    Other fields are ignored: every refusal links to documentation, whose address may contain any word.
    """
    try:
        message = _decode(answer.body).message
    except UNDECODABLE:
        message = _TAG.sub(" ", answer.body[:_READ].decode("utf-8", "replace"))
        message = "" if message.lstrip().startswith(("{", "[")) else message
    return _ADDRESS.sub("…", without_names(_words(message)))[:_LONGEST].strip()


def refusal_of(answer: Answer) -> str:
    """The state of a feed that is refused, in words: the status, GitHub's reason, and what to do if that is known."""
    message = message_of(answer).rstrip(".") or "no reason given"
    with suppress(*UNDECODABLE):
        message += f" ({_words(_decode_blocked(answer.body).block.reason)[:20]})"
    remedy = next((text for pattern, text in _REMEDIES if pattern.search(message)), None)
    return f"refused ({answer.status}): {message}" + (f"; {remedy}" if remedy else "")


def _words(text: str) -> str:
    """The text as one line of printable characters."""
    return "".join(each for each in " ".join(text[:_READ].split()) if each.isprintable())
