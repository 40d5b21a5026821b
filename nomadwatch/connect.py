"""Addresses and ports of this machine, and whether a broker answers."""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final

from nomadwatch.errors import Failure, Misuse
from streams.errors import in_words

LOOPBACK: Final = "127.0.0.1"
# Seconds after which a wait for a broker is announced.
_ANNOUNCED_AFTER: Final = 1.5


def parse_address(broker: str) -> tuple[str, int]:
    """Host and port of the first broker in a list. Raises Misuse for anything that is not an address.

    >>> parse_address("127.0.0.1:9092,other:9092")
    ('127.0.0.1', 9092)
    """
    host, _, port = broker.split(",")[0].strip().rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Misuse(f"{broker!r} is not the address of a broker; write HOST:PORT")
    return host.strip("[]"), int(port)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on this port of an address of this machine."""
    try:
        reserve(port, host).close()
    except OSError:
        return False
    return True


def reserve(port: int = 0, host: str = LOOPBACK) -> socket.socket:
    """A bound socket that does not listen: it reserves a port (0: a free one). Raises OSError if that fails.

    While the socket is open, Linux gives the port to no other process that asks for any free port. A server that asks
    for it by number, with SO_REUSEADDR, still gets it, as often as it is started.
    """
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    held = socket.socket(family, kind, protocol)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(place)
    except OSError:
        held.close()
        raise
    return held


async def await_broker(broker: str, seconds: float, notice: Callable[[str], None] | None = None) -> None:
    """Wait until a Kafka broker answers at an address. Raises Failure if none has answered after `seconds`.

    `notice` is called with a line once, if the wait lasts longer than a moment.
    """
    parse_address(broker)
    loop = asyncio.get_running_loop()
    announced = (
        loop.call_later(_ANNOUNCED_AFTER, notice, f"waiting up to {seconds:g} s for a Kafka broker at {broker} …")
        if notice is not None and seconds > _ANNOUNCED_AFTER
        else None
    )
    try:
        await _await_broker(broker, seconds)
    finally:
        if announced is not None:
            announced.cancel()


async def _await_broker(broker: str, seconds: float) -> None:
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    deadline = time.monotonic() + seconds
    while True:
        client = AIOKafkaClient(bootstrap_servers=broker, request_timeout_ms=5000)
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + max(0.1, deadline - time.monotonic())):
                await client.bootstrap()
            return
        except (KafkaError, OSError, TimeoutError) as error:
            if time.monotonic() >= deadline:
                said = in_words(error) if not str(error) else str(error).splitlines()[0]
                raise Failure(
                    f"no Kafka broker answers at {broker} (waited {seconds:g} s: {said}); start it or correct --broker"
                ) from None
        finally:
            await client.close()
        await asyncio.sleep(0.2)
