"""The role that shows: measurements over HTTP, inside a station or by itself."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from nomadwatch.connect import await_broker
from nomadwatch.errors import Failure, Misuse
from nomadwatch.process import Say
from nomadwatch.settings import Settings
from nomadwatch.show import quiet_libraries
from nomadwatch.topics import check_topics

_LOOPBACK: Final = "127.0.0.1"


def run_sinks(say: Say, bootstrap: str, prefix: str, partitions: int, port: int) -> None:
    """Serve on a port of loopback (0: a free one) until SIGTERM or SIGINT; says `ready` with the port. Raises Failure for a taken one."""
    asyncio.run(_serve(bootstrap, prefix, partitions, _LOOPBACK, port, lambda taken: say("ready", taken)))


def run_alone(settings: Settings, host: str, verbose: bool) -> None:
    """The command `sinks`: the role in this process, listening on `host`, on a broker whose topics exist.

    Prints its address when it answers.
    """
    if not settings.broker:
        raise Misuse("sinks shows what stands on a broker; name it with --broker HOST:PORT")
    quiet_libraries(verbose)
    asyncio.run(await_broker(settings.broker, settings.broker_wait))
    from streams.topics import Topics

    check_topics(settings.broker, Topics(prefix=settings.prefix, partitions=settings.partitions))
    ready: Callable[[int], None] = lambda taken: print(f"http://{host}:{taken}/metrics", flush=True)  # noqa: E731
    asyncio.run(_serve(settings.broker, settings.prefix, settings.partitions, host, settings.port, ready))


async def _serve(bootstrap: str, prefix: str, partitions: int, host: str, port: int, ready: Callable[[int], None]) -> None:
    from sinks.server import PortTaken, serve
    from streams.topics import Topics

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await serve(bootstrap, Topics(prefix=prefix, partitions=partitions), host, port, ready=ready, stop=stop)
    except PortTaken as taken:
        raise Failure(str(taken)) from None
