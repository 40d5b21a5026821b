"""What was shown to whom, and who did not keep the rules."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from aiohttp import web

EARLY: Final = "asked again before the poll interval had passed"
BANNED: Final = "asked during a ban"

# A client counts from when it got the answer, by a clock of its own.
_TOLERANCE_SHARE: Final = 0.02
_TOLERANCE: Final = 0.005


class Offence(NamedTuple):
    """What a client did, in which feed, and when by the wall (s)."""

    what: str
    feed: str
    at: float


class Told(web.Response):
    """A refusal, which tells a client not to ask before `until` (the wall's s). What a fault puts in its place is
    another answer.
    """

    def __init__(self, refusal: web.Response, client: str, until: float) -> None:
        super().__init__(status=refusal.status, headers=refusal.headers, body=refusal.body)
        self.client = client
        self.until = until


class OffenceLedger:
    """Keeps, by the wall, what left the server as an answer."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.offences: list[Offence] = []
        self._wall = wall
        self._shown: dict[str, dict[str, float]] = {}
        self._answered: dict[tuple[str, str], tuple[float, float]] = {}
        self._refused: dict[str, float] = {}

    def offend(self, what: str, feed: str) -> None:
        self.offences.append(Offence(what, feed, self._wall()))

    def arrive(self, client: str, place: str) -> None:
        """A client asks for anything: during a ban, if it was told of one that is not over."""
        if self._wall() < self._refused.get(client, 0.0) - _TOLERANCE:
            self.offend(BANNED, place)

    def refuse(self, told: Told) -> None:
        """A refusal left the server whole: from now on its client knows."""
        self._refused[told.client] = told.until

    def ask(self, client: str, feed: str) -> None:
        """A client asks for a feed's first page: too early, unless the interval that it was told has passed."""
        answered, interval = self._answered.get((client, feed), (0.0, 0.0))
        if self._wall() < answered + interval * (1 - _TOLERANCE_SHARE) - _TOLERANCE:
            self.offend(EARLY, feed)

    def answer(self, client: str, feed: str, interval: float) -> None:
        """A client was answered a feed's first page, 200 or 304, and told an interval (the wall's s)."""
        self._answered[client, feed] = self._wall(), interval

    def show(self, feed: str, ids: tuple[str, ...]) -> None:
        """These ids left the server in a whole answer."""
        shown, now = self._shown.setdefault(feed, {}), self._wall()
        for each in ids:
            shown.setdefault(each, now)

    def shown(self, feed: str) -> Mapping[str, float]:
        """{event id: when it was first shown, by the wall (s)}."""
        return dict(self._shown.get(feed, {}))
