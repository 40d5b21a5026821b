"""The reader as a process: python -m tests.streams.reader BOOTSTRAP FOLDER; to be killed."""

import asyncio
import sys
from typing import Final

from streams.archive import reading
from streams.archive.plan import plan
from streams.archive.publish import ReadProgress, publish
from tests.streams.brokers import TOPICS
from tests.streams.made import KEY, NOW, OPTIONS

SECTION: Final = 200


def main(bootstrap: str, folder: str) -> None:
    """Read a folder to its end, with small sections, and tell of each chunk."""
    reading.SECTION, reading.BATCH = SECTION, 20  # type: ignore[misc]

    def progress(now: ReadProgress) -> None:
        print(now.counts.lines, flush=True)

    asyncio.run(
        publish(
            plan([folder]),
            bootstrap=bootstrap,
            topics=TOPICS,
            actor_key=KEY,
            options=OPTIONS,
            now=lambda: NOW,
            progress=progress,
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
