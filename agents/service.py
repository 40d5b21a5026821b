"""Runs a Faust app as a role of its own process: started, ended by a signal, and ended at once when it crashes."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

import faust
from aiokafka.errors import KafkaConnectionError

logger = logging.getLogger("nomadwatch.agents")


def run_app(make: Callable[[], faust.App]) -> None:
    """Run the app until SIGTERM or SIGINT; exits with 1 if it crashed."""
    asyncio.run(_run(make))


async def _run(make: Callable[[], faust.App]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = make()
    app.loop = loop
    try:
        await app.start()
    except KafkaConnectionError as error:
        logger.error("the broker does not answer (%s); start it, or name another one with --broker", error)
        sys.exit(1)
    stopped = asyncio.ensure_future(stop.wait())
    crashed = asyncio.ensure_future(app._crashed.wait())
    await asyncio.wait((stopped, crashed), return_when=asyncio.FIRST_COMPLETED)
    if crashed.done():
        logger.error("crashed: %r", app._crash_reason)
        sys.exit(1)
    crashed.cancel()
    await app.stop()
