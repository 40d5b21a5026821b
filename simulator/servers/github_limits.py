"""GitHub's limits: requests an hour, points a minute, requests at the same time, and what happens to clients that
exceed them.
"""

from collections import Counter, deque
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from simulator.servers.clock import WorldClock

DIALECTS: Final = ("retry-after", "reset", "silent")
"""What a refusal states: a time to wait, a remaining 0 and a reset, or nothing. A spent hour states its reset."""

_HOUR: Final = 3_600
_MINUTE: Final = 60
# How long a client that is refused without a stated time must wait, in seconds of real time.
_SILENT: Final = 60.0
# A client that waits exactly as long as demanded is not early, whatever decimals and clocks do.
_TOLERANCE: Final = 0.002


class Refusal(NamedTuple):
    """An answer instead of what was asked for. Until `until` (Unix time) the client must not ask again."""

    status: int
    headers: dict[str, str]
    message: str
    until: float


@dataclass
class _Ban:
    """The end of a ban (Unix time), and its reason."""

    until: float
    primary: bool
    dialect: str


@dataclass
class _Hour:
    """A client's window: requests counted until it ends (Unix time)."""

    ends: float
    used: int = 0


class GithubServerLimits:
    """Counts each client's requests and refuses too many.

    Simulated windows: an hour and a minute. A client is a token, or an address without one. `anonymous` and
    `authorised` requests an hour, `points` a minute and endpoint, `concurrent` requests, `dialects` of refusals and
    `ban` (s) can be changed at any time.
    """

    def __init__(self, clock: WorldClock, seed: int) -> None:
        self.anonymous = 60
        self.authorised = 5_000
        self.points = 900
        self.concurrent = 100
        self.ban = 60.0
        self.dialects: tuple[str, ...] = DIALECTS
        self.refused: Counter[str] = Counter()
        self._clock = clock
        self._random = Random(f"limits/{seed}")
        self._hours: dict[str, _Hour] = {}
        self._points: dict[tuple[str, str], deque[float]] = {}
        self._under_way: Counter[str] = Counter()
        self._bans: dict[str, _Ban] = {}
        self._everybody: _Ban | None = None

    def refuse_everybody(self, seconds: float, dialect: str) -> None:
        """Ban every client for simulated seconds from now on, whatever it has done. The ban is not prolonged."""
        self._everybody = _Ban(self._clock.wall() + self._clock.wait(seconds), False, dialect)

    def enter(self, client: str, endpoint: str, *, authorised: bool) -> Refusal | None:
        """Count a request that begins, or refuse it. A request that was not refused must `leave`."""
        now = self._clock.wall()
        ban = self._ban_of(client, now) or self._too_much(client, endpoint, now, authorised=authorised)
        if ban is not None:
            return self._refusal(ban, client, now, authorised=authorised)
        self._hour(client, now).used += 1
        self._under_way[client] += 1
        self._points.setdefault((client, endpoint), deque()).append(now)
        return None

    def leave(self, client: str, *, free: bool) -> None:
        """A request has ended; a `free` one does not count against the hour."""
        self._under_way[client] -= 1
        hour = self._hours.get(client)
        if free and hour is not None and hour.used:
            hour.used -= 1

    def headers(self, client: str, *, authorised: bool) -> dict[str, str]:
        """What every answer states about the hour."""
        hour, limit = self._hour(client, self._clock.wall()), self._limit(authorised)
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(0, limit - hour.used)),
            "X-RateLimit-Reset": self._clock.stated_wall(hour.ends),
            "X-RateLimit-Used": str(min(hour.used, limit)),
            "X-RateLimit-Resource": "core",
        }

    def _limit(self, authorised: bool) -> int:
        return self.authorised if authorised else self.anonymous

    def _hour(self, client: str, now: float) -> _Hour:
        hour = self._hours.get(client)
        if hour is None or now >= hour.ends - _TOLERANCE:
            hour = self._hours[client] = _Hour(now + self._clock.wait(_HOUR))
        return hour

    def _ban_of(self, client: str, now: float) -> _Ban | None:
        """The ban that a request falls into, and prolongs."""
        if self._everybody is not None and now < self._everybody.until - _TOLERANCE:
            return self._everybody
        ban = self._bans.get(client)
        if ban is None or now >= ban.until - _TOLERANCE:
            self._bans.pop(client, None)
            return None
        ban.until += self._clock.wait(self.ban)
        return ban

    def _too_much(self, client: str, endpoint: str, now: float, *, authorised: bool) -> _Ban | None:
        """A new ban, if one more request would exceed a limit."""
        hour, points = self._hour(client, now), self._points.setdefault((client, endpoint), deque())
        while points and points[0] <= now - self._clock.wait(_MINUTE):
            points.popleft()
        ban = None
        if hour.used >= self._limit(authorised):
            ban = _Ban(hour.ends, True, self._dialect())
        elif len(points) >= self.points or self._under_way[client] >= self.concurrent:
            ban = _Ban(now + self._clock.wait(self.ban), False, self._dialect())
        if ban is not None:
            self._bans[client] = ban
        return ban

    def _dialect(self) -> str:
        return self._random.choice(self.dialects)

    def _refusal(self, ban: _Ban, client: str, now: float, *, authorised: bool) -> Refusal:
        self.refused["primary" if ban.primary else "secondary"] += 1
        headers = self.headers(client, authorised=authorised)
        if ban.primary or ban.dialect == "reset":
            headers |= {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": self._clock.stated_wall(ban.until)}
        if ban.dialect == "retry-after":
            headers["Retry-After"] = self._clock.stated_wall(ban.until - now)
        if ban.primary:
            message = (
                "API rate limit exceeded. (But here's the good news: Authenticated requests get a higher rate limit.)"
            )
        else:
            message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        silent = not ban.primary and ban.dialect == "silent"
        return Refusal(
            self._random.choice((403, 429)), headers, message, min(ban.until, now + _SILENT) if silent else ban.until
        )
