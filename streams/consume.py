"""Ending a consumer."""

import asyncio
from typing import Any


async def stop(consumer: Any) -> None:
    """Stop an aiokafka consumer, whether its broker is there or not.

    While the broker is away aiokafka cancels a fetch of its own that waits, and lets that come out of `stop` (0.14): nobody has cancelled
    us, but whoever is above would end without a word, and the connections stay open.
    """
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        await consumer._client.close()
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
