"""Is a broker there?"""

import asyncio
import socket
import time

from nomadwatch.errors import Failure, Misuse


def address(broker: str) -> tuple[str, int]:
    """Host and port of the first broker named.

    >>> address("127.0.0.1:9092,other:9092")
    ('127.0.0.1', 9092)
    """
    host, _, port = broker.split(",")[0].strip().rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Misuse(f"the broker {broker!r} is no address; write it as HOST:PORT")
    return host.strip("[]"), int(port)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of loopback."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


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
                said = f"{type(error).__name__}" if not str(error) else str(error).splitlines()[0]
                raise Failure(f"no Kafka broker answers at {broker} (waited {seconds:g} s: {said}); start it or correct --broker") from None
        finally:
            await client.close()
        await asyncio.sleep(0.2)
