"""How long after becoming visible each watched thing was received by the pollers, and counted in what is published."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from simulator.servers.clock import WorldClock
from simulator.servers.hub_truth import Happened
from streams.activity import SECOND, Activity

GITHUB: Final = "GitHub, events"
# What the Hub shows in listings and walks, and what only reading its repository shows.
COMMITS: Final = "Hub, commits"
EXCHANGE: Final = "Hub, discussions and comments"
REVIEWS: Final = "Hub, reviews"
_GROUPS: Final = {
    "commit": COMMITS,
    "discussion": EXCHANGE,
    "discussion_comment": EXCHANGE,
    "pull_request": REVIEWS,
    "pull_request_comment": REVIEWS,
}
_SOON: Final = 600.0


@dataclass
class Delays:
    """Seconds for each thing that was published; `unseen` counts the others.

    From being visible: `received` by the pollers, and `counted` in what is published, in simulated time. `counting`:
    from receipt to being counted, in real time, because counting runs no faster under a faster clock.
    """

    received: list[float] = field(default_factory=list)
    counted: list[float] = field(default_factory=list)
    counting: list[float] = field(default_factory=list)
    unseen: int = 0

    def add(self, visible: int, received: int, counted: int, clock: WorldClock) -> None:
        """`visible` and `received` are simulated µs, `counted` is real time."""
        in_all = (clock.at(counted / SECOND) - visible) / SECOND
        self.received.append((received - visible) / SECOND)
        self.counted.append(in_all)
        self.counting.append((in_all - self.received[-1]) / clock.scale)

    @property
    def unhurried(self) -> list[float]:
        """From being visible to being counted, with counting in real time."""
        return [received + counting for received, counting in zip(self.received, self.counting, strict=True)]

    def row(self, name: str) -> str:
        """A line of the table that `table` makes."""
        figures = [
            f"{float(np.percentile(each, share)):>9.1f}"
            for each in (self.received, self.counting, self.counted)
            for share in (50, 99)
        ]
        soon = [f"{100 * self.soon(each):>11.1f} %" for each in (self.counted, self.unhurried)]
        return f"{name:<30}{len(self.received) + self.unseen:>7}{self.unseen:>9}{''.join([*figures, *soon])}"

    def soon(self, delays: list[float]) -> float:
        """The share (0 to 1) of all things whose delay is at most ten minutes."""
        everything = len(delays) + self.unseen
        return sum(delay <= _SOON for delay in delays) / everything if everything else float("nan")


def table(delays: Mapping[str, Delays]) -> str:
    """The delays of each group: the median and the 99th percentile in seconds, and the share counted within ten
    minutes.

    `visible..` are simulated seconds, `received..counted` real ones; `unhurried` takes counting as real seconds.
    """
    above = "".join(f"{title:>18}" for title in ("visible..received", "received..counted", "visible..counted"))
    percentiles = f"{'p50':>9}{'p99':>9}" * 3
    head = f"{'seconds':<30}{'things':>7}{'missing':>9}{percentiles}{'in 10 min':>13}{'unhurried':>13}"
    return "\n".join([" " * 46 + above, head, *(each.row(name) for name, each in delays.items() if each.received)])


def of_github(
    events: Mapping[str, int], published: Iterable[Activity], counted_at: Mapping[str, int], clock: WorldClock
) -> Delays:
    """The delays of events, by id and when they were visible (µs). An event counts with its first activity."""
    received: dict[str, int] = {}
    counted: dict[str, int] = {}
    for each in published:
        if each.platform == "github" and each.project is not None:
            event = each.id.split(":")[2]
            for times, at in ((received, each.ingested_at), (counted, counted_at[each.id])):
                times[event] = min(at, times.get(event, at))
    delays = Delays(unseen=len(events.keys() - received.keys()))
    for event in events.keys() & received.keys():
        delays.add(events[event], received[event], counted[event], clock)
    return delays


def of_the_hub(
    deeds: Iterable[Happened], published: Iterable[Activity], counted_at: Mapping[str, int], clock: WorldClock
) -> dict[str, Delays]:
    """The delays of what happened in watched repositories of the Hub, by group."""
    received = {each.id: each.ingested_at for each in sorted(published, key=lambda each: -each.ingested_at)}
    delays = {group: Delays() for group in dict.fromkeys(_GROUPS.values())}
    for deed in deeds:
        group = delays.get(_GROUPS.get(deed.kind, ""))
        if group is None:
            continue
        if deed.id in received:
            group.add(deed.visible_at, received[deed.id], counted_at[deed.id], clock)
        else:
            group.unseen += 1
    return delays
