"""What polls a platform: the contract that each platform's own poller fulfils."""

from collections.abc import Iterator
from typing import Protocol

from streams.live.common.popularity import Popularity


class Poller(Protocol):
    """Polls all feeds of one platform, in the event loop that all platforms share.

    Made with the platform's address, its token (may be empty), an HTTP session and a `Context`. A poller opens its
    feeds in `Context.feeds`, hands what it has found to `Context.outlet`, and saves its cursors with it: whatever is in
    a `PollResult` reaches the broker before its cursor does, or comes again. Feeds and cursors are named `PLATFORM:…`.
    """

    async def run(self) -> None:
        """Poll until cancelled. What servers and networks do ends up in the feeds' health, never in an exception."""

    def popularity(self) -> Iterator[Popularity]:
        """The numbers that the platform states about the watched projects; asked for every second."""
        return iter(())

    def artefacts(self) -> dict[str, str]:
        """What watched repositories hold, by name, where it is not the first of the platform's artefacts."""
        return {}
