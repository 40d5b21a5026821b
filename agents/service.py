"""Runs a Faust app as a role of its own process: started, ended by a signal, and ended at once when it crashes."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import NoReturn

import faust
from aiokafka.errors import KafkaConnectionError

from agents.memory import one_arena

logger = logging.getLogger("nomadwatch.agents")


def run_app(make: Callable[[], faust.App]) -> None:
    """Run the app until SIGTERM or SIGINT; exits with 1 if it crashed."""
    one_arena()
    threading.excepthook = _note
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
        _fail(error)
    stopped = asyncio.ensure_future(stop.wait())
    crashed = asyncio.ensure_future(app._crashed.wait())
    await asyncio.wait((stopped, crashed), return_when=asyncio.FIRST_COMPLETED)
    if crashed.done():
        _fail(app._crash_reason)
    crashed.cancel()
    await app.stop()


def _note(died: threading.ExceptHookArgs) -> None:
    """A thread of the app that dies crashes the app, which is said once, without a traceback of each thread."""
    logger.info("%s ended with %r", died.thread and died.thread.name, died.exc_value)


def _fail(reason: BaseException | None) -> NoReturn:
    """End at once: a crashed app's threads go on, and what they still print is of no use to anybody."""
    if isinstance(reason, KafkaConnectionError):
        logger.error("the broker does not answer (%s); start it, or name another one with --broker", reason)
    else:
        logger.error("crashed: %r", reason)
    logging.shutdown()
    os._exit(1)
