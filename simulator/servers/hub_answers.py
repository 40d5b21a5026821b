"""How the Hub's API answers and refuses, and what it reads of a query."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from simulator.servers.hub_fields import EXPANDABLE
from simulator.servers.hub_state import HubServerRepository


class AnswerRefused(Exception):
    """An answer other than 200: its status, the error that it states, and the error's code for a header."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        stated = "".join(each if each.isascii() and each.isprintable() else "?" for each in message)
        self.headers = {**headers, "X-Error-Message": stated, **({"X-Error-Code": code} if code else {})}


def expanded(request: web.Request, type_: str) -> Sequence[str]:
    names = [*request.query.getall("expand", []), *request.query.getall("expand[]", [])]
    known = EXPANDABLE[type_]
    if wrong := [name for name in names if name not in known]:
        raise AnswerRefused(400, f'Invalid option "{wrong[0][:40]}": expected one of {"|".join(known)}')
    return names


def check_revision(request: web.Request, repository: HubServerRepository) -> None:
    if request.match_info.get("revision", "main") not in ("main", repository.commits.head):
        raise AnswerRefused(404, "Invalid rev id", "RevisionNotFound")


def check_gate(repository: HubServerRepository, *, signed_in: bool, granted: bool) -> None:
    """Refuse the history and files of a gated repository to clients that have not accepted its terms.

    Its listing, discussions and likers are public.
    """
    if repository.gated and not signed_in:
        raise AnswerRefused(401, f"Access to {repository.name} is restricted. You must be authenticated.", "GatedRepo")
    if repository.gated and not granted:
        message = f"Access to {repository.name} is restricted and you are not in the authorized list."
        raise AnswerRefused(403, message, "GatedRepo")


def number(request: web.Request, name: str, default: int, least: int, most: int | None = None) -> int:
    """A number of the query; one that is too large becomes the largest allowed."""
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < least:
        raise AnswerRefused(400, f"{name} must be a number of at least {least}")
    return int(text) if most is None else min(most, int(text))


def answer(content: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(content), content_type="application/json", charset="utf-8", headers=headers
    )


def page(request: web.Request, rows: Sequence[Any], cursor: str | None) -> web.Response:
    return answer(rows, {"Link": next_link(request, cursor=cursor)} if cursor else None)


def next_link(request: web.Request, **changed: str) -> str:
    return f'<{request.url.update_query(changed)}>; rel="next"'


def refusal(refused: AnswerRefused) -> web.Response:
    response = answer({"error": refused.message}, refused.headers)
    response.set_status(refused.status)
    return response
