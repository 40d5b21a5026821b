"""The shapes of each era compiled to format strings."""

import json
import re
from collections.abc import Mapping
from typing import Final

from simulator import shapes
from simulator.shapes import Shape


class Template:
    """A shape compiled to one format string.

    >>> Template({"login": "<login>", "id": "<<id>>", "share": "5 %"}).fill({"login": "amber", "id": 7})
    '{"login":"amber","id":7,"share":"5 %"}'
    """

    def __init__(self, shape: Shape) -> None:
        text = json.dumps(shape, separators=(",", ":")).replace("%", "%%")
        text = re.sub(r'"<<(\w+)>>"', r"%(\1)s", text)
        self._text = re.sub(r"<(\w+)>", r"%(\1)s", text)

    def fill(self, places: Mapping[str, object]) -> str:
        """The JSON text with every placeholder filled."""
        return self._text % places


def _reduced(shape: Shape) -> Shape:
    """What today's feed shows of a shape: without the author's relation to the repository."""
    return {name: value for name, value in shape.items() if name != "author_association"}


_SHAPES: Final[dict[str, Shape]] = {
    "issue": shapes.ISSUE,
    "issue_of_pull": shapes.ISSUE_OF_PULL,
    "discussion": shapes.DISCUSSION,
    "comment": shapes.COMMENT,
    "issue_comment": shapes.ISSUE_COMMENT,
    "review_comment": shapes.REVIEW_COMMENT,
    "review": shapes.REVIEW,
    "release": shapes.RELEASE,
    "label": shapes.LABEL,
    "pull_request": shapes.PULL_REQUEST,
    "pull_request_result": {**shapes.PULL_REQUEST, **shapes.PULL_REQUEST_RESULT},
    "branch": shapes.BRANCH,
}
_TODAY: Final[dict[str, Shape]] = {
    **{name: _reduced(shape) for name, shape in _SHAPES.items()},
    "issue": _reduced(shapes.ISSUE) | shapes.ISSUE_TODAY,
    "issue_of_pull": _reduced(shapes.ISSUE_OF_PULL) | shapes.ISSUE_TODAY,
    "pull_request": shapes.STUB,
    "pull_request_result": shapes.STUB,
    "branch": shapes.STUB_BRANCH,
}
# By era and name, what differs between the eras.
TEMPLATES: Final = {
    era: {name: Template(shape) for name, shape in own.items()} for era, own in (("2024", _SHAPES), ("2026", _TODAY))
}
# What both have.
ACTOR: Final = Template(shapes.ACTOR)
ORGANISATION: Final = Template(shapes.ORGANISATION)
USER: Final = Template(shapes.USER)
REPOSITORY: Final = Template(shapes.REPOSITORY)
