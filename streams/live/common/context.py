"""What every poller is given."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.kafka.dead_letters import Keep
from streams.live.common.clock import Clock
from streams.live.common.health import Feeds
from streams.live.common.poll_result import Outlet
from streams.watchlist import Watchlist


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """`actor_key` keys the hashes of actors. `cursors` are those of an earlier run, by their keys. `interval_cap` is
    the longest time between two polls of a feed, in seconds of the station's clock. `keep_dead_letters`: as raw bytes
    or as a digest.
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
