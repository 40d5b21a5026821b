"""A role that kills or stops itself at the worst moments: `python -m tests.chaos.crashing ROLE SPEC_JSON SEED
POINT=CHANCE…`

Points: `sending` (some records of a transaction are sent), `committing` (all are sent, the commit is not requested),
`committed` (the commit was answered, the worker does not know yet), `caching` (the local cache is half written),
`recovering` (facts are half read back), `stopping` (SIGSTOP with an open transaction: a zombie after SIGCONT),
`reading` (the reader, between two chunks).
"""

import asyncio
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from agents import checkpoint
from agents.config import Config
from agents.count import cache, ids, worker
from agents.measure import worker as measure
from streams.archive.plan import plan
from streams.archive.publish import ReadProgress, publish
from streams.archive.sections import Options
from streams.kafka.topics import Topics
from streams.watchlist import Watchlist

ACTOR_KEY = b"chaos"


class Reading(msgspec.Struct):
    """What the reader reads. `rest`: pause after each chunk (s), so that there is time to die; three times as long
    until the file `enough` exists.
    """

    folder: str
    bootstrap: str
    prefix: str
    partitions: int
    rest: float
    enough: str


CHANCES: dict[str, float] = {}
DICE = random.Random()


def strike(point: str) -> None:
    if DICE.random() < CHANCES.get(point, 0.0):
        logging.warning("strikes while %s", point)
        # A process that was stopped and goes on is not stopped again.
        CHANCES[point] = 0.0
        os.kill(os.getpid(), signal.SIGSTOP if point == "stopping" else signal.SIGKILL)


def arm() -> None:
    """Patch the points into the libraries that the workers use."""
    send, commit, read_from = (
        AIOKafkaProducer.send_batch,
        AIOKafkaProducer.commit_transaction,
        checkpoint.read_from,
    )

    async def striking_send(self: AIOKafkaProducer, *args: Any, **kwargs: Any) -> Any:
        sent = await send(self, *args, **kwargs)
        if DICE.random() < CHANCES.get("sending", 0.0):
            await sent
            CHANCES["sending"] = 1.0
            strike("sending")
        return sent

    async def striking_commit(self: AIOKafkaProducer) -> None:
        strike("stopping")
        strike("committing")
        await commit(self)
        strike("committed")

    replace = os.replace

    def striking_replace(source: str, target: str) -> None:
        strike("caching")
        replace(source, target)
        strike("caching")

    async def striking_read_from(*args: Any) -> Any:
        async for read in read_from(*args):
            await asyncio.sleep(DICE.random() / 20)
            strike("recovering")
            yield read

    AIOKafkaProducer.send_batch, AIOKafkaProducer.commit_transaction = striking_send, striking_commit
    worker.read_from = striking_read_from  # type: ignore[attr-defined]
    cache.os.replace = striking_replace  # type: ignore[attr-defined,assignment]
    # Caches are written often, and days go to files although they have few ids.
    cache._ROWS, cache._RECORDS, ids._WORTH = 300, 3, 100  # type: ignore[misc]


def read(reading: Reading) -> None:
    enough = Path(reading.enough)

    def progress(now: ReadProgress) -> None:
        if not now.counts.lines:
            # After each start it looks through the files first: nothing is sent yet.
            return
        time.sleep(reading.rest * (1 if enough.exists() else 3))
        strike("reading")

    asyncio.run(
        publish(
            plan([reading.folder]),
            bootstrap=reading.bootstrap,
            topics=Topics(prefix=reading.prefix, partitions=reading.partitions),
            actor_key=ACTOR_KEY,
            options=Options(Watchlist.load(None)),
            now=lambda: time.time_ns() // 1000,
            progress=progress,
        )
    )


def main() -> None:
    role, spec, seed, *points = sys.argv[1:]
    DICE.seed(seed)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(name)s: %(message)s", stream=sys.stdout)
    for noisy in ("faust", "mode", "aiokafka"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    CHANCES.update((point, float(chance)) for point, _, chance in (text.partition("=") for text in points))
    arm()
    if role == "reader":
        read(msgspec.json.decode(spec, type=Reading))
    else:
        {"count": worker.run, "measure": measure.run}[role](msgspec.json.decode(spec, type=Config))


if __name__ == "__main__":
    main()
