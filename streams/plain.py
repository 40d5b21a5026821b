"""Texts from elsewhere without what a terminal or a log would act on: control characters, direction marks, invisible
characters.
"""

import re
from typing import Final

# The control characters of ASCII and Latin-1, format characters (soft hyphen, direction marks, joiners, byte-order
# mark, tags), line and paragraph separators, and halves of surrogate pairs, which cannot be encoded.
_HIDDEN: Final = (
    "\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u08e2\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufe00-\ufe0f"
    "\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e01ef"
)
_IN_TEXT: Final = re.compile(f"[\x00-\x08\x0b-\x1f{_HIDDEN}]")
_IN_LINE: Final = re.compile(f"[\x00-\x1f{_HIDDEN}]")
# The replacement: it takes one column, and readers see that something was there.
_INSTEAD: Final = "\ufffd"


def plain(text: str) -> str:
    r"""A text of several lines: line breaks and tabs stay.

    >>> plain("a\x1b[31mred\r\n\u202egpj.exe")
    'a�[31mred�\n�gpj.exe'
    """
    return _IN_TEXT.sub(_INSTEAD, text)


def one_line(text: str) -> str:
    r"""A text for a line or a cell: line breaks and tabs are replaced too.

    >>> one_line("new\nline\x9b31m"), one_line("owner/name")
    ('new�line�31m', 'owner/name')
    """
    return _IN_LINE.sub(_INSTEAD, text)
