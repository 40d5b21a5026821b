"""Is a broker there?"""

import asyncio
import socket
import time
from typing import Final

from nomadwatch.errors import Failure, Misuse
from streams.errors import in_words

LOOPBACK: Final = "127.0.0.1"


def address(broker: str) -> tuple[str, int]:
    """Host and port of the first broker named.

    >>> address("127.0.0.1:9092,other:9092")
    ('127.0.0.1', 9092)
    """
    host, _, port = broker.split(",")[0].strip().rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Misuse(f"the broker {broker!r} is no address; write it as HOST:PORT")
    return host.strip("[]"), int(port)


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on this port of a host of this machine."""
    try:
        reserve(port, host).close()
    except OSError:
        return False
    return True


def reserve(port: int = 0, host: str = LOOPBACK) -> socket.socket:
    """A bound socket that does not listen, on a port of a host: this one, or with 0 a free one.

    Raises OSError for a port that is taken, or a host that is not this machine.

    While it is open nobody is given the port by chance (Linux), neither for a connection nor as a free one; a server
    that asks for it by number, as servers do with SO_REUSEADDR, gets it as often as it is started.
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


async def await_broker(broker: str, seconds: float) -> None:
    """Wait until a Kafka broker answers there; Failure after so many seconds."""
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    address(broker)
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
