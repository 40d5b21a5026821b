"""The part of the words of an issue or discussion that goes on the wire."""

import re
from typing import Final

LENGTH: Final = 2_000
_TITLE: Final = 500
# The limit avoids scanning a long run of letters without an @ once for each letter. A mailbox name has at most 64
# characters.
_ADDRESS: Final = re.compile(r"[\w.+%'-]{0,64}@\w[\w./-]*")


def without_names(text: str) -> str:
    """A text without its e-mail addresses and @names.

    >>> without_names("thanks @odd-name, or write to a.b+c@example.org! 3 @ 4")
    'thanks , or write to ! 3 @ 4'
    """
    return _ADDRESS.sub("", text) if "@" in text else text


def public_text(title: str | None, body: str | None) -> str:
    """Title, line break and the first 2,000 characters of the body, without e-mail addresses and @names.

    >>> public_text("It broke", "ask @ada"), public_text("Title only", None)
    ('It broke\\nask ', 'Title only\\n')

    Source: docs/glossary.md (activity).
    """
    # Cut generously first: a body may have 64 kB, and an address must not be cut in two before it is removed.
    return (
        without_names((title or "")[: 2 * _TITLE])[:_TITLE] + "\n" + without_names((body or "")[: 2 * LENGTH])[:LENGTH]
    )
