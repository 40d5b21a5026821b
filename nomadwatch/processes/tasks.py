"""Concurrent tasks that run until the first of them ends."""

import asyncio
from collections.abc import Awaitable
from typing import Any


async def until_first(*works: Awaitable[Any]) -> None:
    """Run awaitables until one ends, then cancel the others. Raises what that one raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
