"""What the pollers of both platforms are given."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.kafka.dead_letters import Keep
from streams.live.common.clock import Clock
from streams.live.common.health import Feeds
from streams.live.common.poll_result import Outlet
from streams.watchlist import Watchlist


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`actor_key` is that of the actors' hashes, `cursors` are those of an earlier run, `interval_cap` is in the
    station's seconds.
    """

    watchlist: Watchlist
    actor_key: bytes
    outlet: Outlet
    cursors: Mapping[str, bytes]
    feeds: Feeds
    clock: Clock
    include_bots: bool = False
    keep_dead_letters: Keep = "raw"
    interval_cap: float = 300.0
