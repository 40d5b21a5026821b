"""Titles and bodies: meaningless text that is safe inside a JSON string as it is."""

import json
from random import Random
from typing import Final

_TEXT: Final = (
    "the model tokenizer fails when loading weights from cache after upgrade expected output differs on cpu but "
    "works with smaller batch please add support for streaming export config file path missing argument trace "
    "below reproduces every time since last release we see memory growing slowly documentation says otherwise "
    "thanks for looking into this patch fixes broken test and keeps behaviour unchanged naïve größer 模型 résumé "
    "датасет"
)
# What a careful reader has to handle: quotes, line ends, addresses, and names that must not be passed on.
_INSERTS: Final = (
    'He said "it works here" and left.\r\n\r\n',
    "```python\r\nfor row in rows:\r\n    print(row[0], end='\\n')\r\n```\r\n",
    "cc @somebody-else, or write to someone@example.org. ",
    "See https://example.org/notes?page=2#top 🤗\r\n",
    "| size | seconds |\r\n|------|---------|\r\n| 10 | 0.3 |\r\n",
    "\t- [x] I searched for it\r\n",
)

_WORDS: Final = _TEXT.split()


class Prose:
    """Sentences drawn from a pool that is made once.

    >>> Prose(1).title() == Prose(1).title()
    True
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(f"prose/{seed}")
        sentences = [
            " ".join(self._random.choices(_WORDS, k=self._random.randint(4, 16))).capitalize() + ". "
            for _ in range(3_000)
        ]
        sentences += [insert for insert in _INSERTS for _ in range(60)]
        self._sentences = [_inside(sentence) for sentence in sentences]
        self._titles = [
            _inside(" ".join(self._random.choices(_WORDS, k=self._random.randint(3, 9)))) for _ in range(2_000)
        ]

    def title(self) -> str:
        return self._random.choice(self._titles)

    def body(self, mean: float) -> str:
        """Some sentences, `mean` of them on average, heavy-tailed."""
        count = min(80, int(mean * self._random.lognormvariate(-0.4, 0.9)))
        return "".join(self._random.choices(self._sentences, k=count))


def _inside(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
