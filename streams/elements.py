"""The elements of a JSON list and the members of an object, each by itself: one that cannot be decoded spoils no other.

msgspec splits a list as fast as it reads. But it rejects the whole list for one lone surrogate or for brackets nested
too deep, and it makes an object of each element before they can be counted. So it splits only texts with few commas.
All others are scanned bracket by bracket, which is slower, needs no recursion, and stops if there are too many
elements.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from streams.errors import DeadLetter
from streams.github_payloads import UNDECODABLE

# Larger elements are not read: real ones have some hundred kB at most.
LARGEST_ELEMENT: Final = 4 << 20
# There is at most one element more than commas. msgspec splits so many in about 20 ms.
_FEW_COMMAS: Final = 200_000
# Scanning so many (runs of) brackets, commas and quotation marks takes a second or two. Real answers have a tenth of
# them.
_MOST_STEPS: Final = 1_000_000
_OUTSIDE: Final = re.compile(rb'\[+|\]+|["{},]')
_SPACE: Final = b" \t\r\n"
_BACKSLASH: Final = ord("\\")
_MEMBER: Final = re.compile(rb'\s*("(?:[^"\\]|\\.){0,200}")\s*:', re.DOTALL)

_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_name: Final = msgspec.json.Decoder(str).decode


def is_small(content: bytes) -> bool:
    """Whether a body can be split by msgspec without making too many objects."""
    return content.count(b",") <= _FEW_COMMAS


def elements(content: bytes, most: int) -> list[msgspec.Raw]:
    """The elements of a list, undecoded.

    Raises a `MsgspecError` if it is no list, `DeadLetter` (`too-long`) for more than `most`.

    >>> [bytes(element) for element in elements(b' [1, {"a": "]"}, "\\\\ud83d"] ', 3)]
    [b'1', b'{"a": "]"}', b'"\\\\ud83d"']
    """
    if is_small(content):
        try:
            found = _decode_list(content)
        except UNDECODABLE:
            pass
        else:
            if len(found) > most:
                raise DeadLetter("too-long")
            return found
    return [msgspec.Raw(element) for element in _split(content, b"[", b"]", most)]


def members(content: bytes, most: int = 1_000) -> dict[str, bytes]:
    """The members of an object by name, undecoded. Those whose name cannot be decoded are left out.

    Raises as `elements` does.

    >>> members(b'{"a": [1, 2], "b": "x"}')
    {'a': b'[1, 2]', 'b': b'"x"'}
    """
    found = {}
    for member in _split(content, b"{", b"}", most):
        head = _MEMBER.match(member)
        try:
            if head is not None:
                found[_decode_name(head[1])] = member[head.end() :].strip(_SPACE)
        except UNDECODABLE:
            continue
    return found


def _split(content: bytes, opening: bytes, closing: bytes, most: int) -> Iterator[bytes]:
    """The parts between the commas of the outermost brackets."""
    text = content.strip(_SPACE)
    if not (text.startswith(opening) and text.endswith(closing)):
        raise msgspec.DecodeError("neither a list nor an object")
    if not text[1:-1].strip(_SPACE):
        return
    depth, start, at, found = 1, 1, 1, 0
    for _ in range(_MOST_STEPS):
        token = _OUTSIDE.search(text, at)
        if token is None:
            break
        at = token.end()
        match token[0][:1]:
            case b'"':
                at = _end_of_string(text, at)
            case b"[" | b"{":
                depth += len(token[0])
            case b"]" | b"}":
                depth -= len(token[0])
        if depth == 0 or (depth == 1 and token[0] == b","):
            found += 1
            if found > most:
                raise DeadLetter("too-long")
            element = text[start : at - 1].strip(_SPACE)
            if not element:
                raise msgspec.DecodeError("nothing between two commas")
            yield element
            start = at
        if depth <= 0:
            break
    else:
        raise DeadLetter("too-long")
    if depth or at != len(text):
        raise msgspec.DecodeError("not closed where it ends")


def _end_of_string(text: bytes, at: int) -> int:
    """The position after the quotation mark that ends a string which began before a position."""
    for _ in range(_MOST_STEPS):
        end = text.find(b'"', at)
        if end < 0:
            raise msgspec.DecodeError("a string is not closed")
        before = end
        while text[before - 1] == _BACKSLASH and before > at:
            before -= 1
        at = end + 1
        if (end - before) % 2 == 0:
            return at
    raise DeadLetter("too-long")
