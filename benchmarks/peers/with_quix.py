"""Quix Streams on a Kafka broker: a source reads the hour, windows of a minute count by repository and feature, and the
state of each feature and person says whether the hour has met them. with_quix.py HOUR BROKER FOLDER

It ends when no record has come for some seconds, and says how many on the line before the answer.
"""

import sys
from datetime import timedelta
from typing import Any

from quixstreams import Application, State
from quixstreams.sources import Source
from work import lines, mixed, read, say

# Between the start of the source's process and its first record less than this passes.
PATIENCE = 4.0
hour, broker, folder = sys.argv[1:]
answer: dict[str, list[int]] = {}


class Hour(Source):
    """The events of the hour as records, keyed by repository and feature."""

    def run(self) -> None:
        """Read and send."""
        for chunk in lines(hour):
            for line in chunk:
                if (event := read(line)) is not None:
                    repository, feature, second, actor = event
                    value = {"feature": feature, "actor": actor}
                    record = self.serialize(f"{repository}/{feature}", value, timestamp_ms=second * 1000)
                    self.produce(key=record.key, value=record.value, timestamp=record.timestamp)
            if not self.running:
                return
        self.flush()


def counted(window: dict[str, int], key: bytes, timestamp: int, headers: Any) -> None:
    """A count that has grown by one: n² − (n − 1)² is added to the sum of the squares."""
    repository, _, feature = key.decode().partition("/")
    row, count = answer.setdefault(feature, [0, 0, 0, 0]), window["value"]
    row[0] += count == 1
    row[1] += 1
    row[2] += (2 * count - 1) * mixed(int(repository), window["start"] // 60_000)


def met(value: dict[str, Any], state: State) -> None:
    """A person and a feature."""
    if not state.exists("met"):
        state.set("met", True)
        answer.setdefault(value["feature"], [0, 0, 0, 0])[3] += 1


def main() -> None:
    """Run until nothing comes."""
    application = Application(
        broker_address=broker,
        consumer_group="peers",
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="WARNING",
    )
    events = application.dataframe(source=Hour("hour", shutdown_timeout=10))
    windows = events.tumbling_window(timedelta(minutes=1), grace_ms=timedelta(hours=1))
    windows.count().current().update(counted, metadata=True)
    events.group_by(lambda value: f"{value['feature']}/{value['actor']}", name="person").update(met, stateful=True)
    application.run(timeout=PATIENCE, collect=False)
    print(f"waited {PATIENCE} s")
    say(answer)


if __name__ == "__main__":
    main()
