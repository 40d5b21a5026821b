"""What was shown to each client, and which clients broke the rules."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from aiohttp import web

EARLY: Final = "asked again before the poll interval had passed"
BANNED: Final = "asked during a ban"

# A client counts from when it got the answer, by its own clock.
_TOLERANCE_SHARE: Final = 0.02
_TOLERANCE: Final = 0.005


class Offence(NamedTuple):
    """The rule that a client broke, in which feed, and when (Unix time)."""

    what: str
    feed: str
    at: float


class Told(web.Response):
    """A refusal that tells a client not to ask before `until` (Unix time). If a fault replaces it, the answer is
    another one.
    """

    def __init__(self, refusal: web.Response, client: str, until: float) -> None:
        super().__init__(status=refusal.status, headers=refusal.headers, body=refusal.body)
        self.client = client
        self.until = until


class OffenceLedger:
    """Keeps what left the server as an answer, by real time."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.offences: list[Offence] = []
        self._wall = wall
        self._shown: dict[str, dict[str, float]] = {}
        self._answered: dict[tuple[str, str], tuple[float, float]] = {}
        self._refused: dict[str, float] = {}

    def offend(self, what: str, feed: str) -> None:
        self.offences.append(Offence(what, feed, self._wall()))

    def arrive(self, client: str, place: str) -> None:
        """A client asks for anything. During a ban that it was told of, this is an offence."""
        if self._wall() < self._refused.get(client, 0.0) - _TOLERANCE:
            self.offend(BANNED, place)

    def refuse(self, told: Told) -> None:
        """A refusal left the server completely: from now on its client knows."""
        self._refused[told.client] = told.until

    def ask(self, client: str, feed: str) -> None:
        """A client asks for a feed's first page. Before the stated interval has passed, this is an offence."""
        answered, interval = self._answered.get((client, feed), (0.0, 0.0))
        if self._wall() < answered + interval * (1 - _TOLERANCE_SHARE) - _TOLERANCE:
            self.offend(EARLY, feed)

    def answer(self, client: str, feed: str, interval: float) -> None:
        """A client got a feed's first page, 200 or 304, with an interval (seconds of real time)."""
        self._answered[client, feed] = self._wall(), interval

    def show(self, feed: str, ids: tuple[str, ...]) -> None:
        """These ids left the server in a complete answer."""
        shown, now = self._shown.setdefault(feed, {}), self._wall()
        for each in ids:
            shown.setdefault(each, now)

    def shown(self, feed: str) -> Mapping[str, float]:
        """{event id: the Unix time at which it was first shown}."""
        return dict(self._shown.get(feed, {}))
