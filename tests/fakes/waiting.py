"""Waiting for what has no event of its own: a state that another process or task brings about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(is_so: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Return when `is_so()` is true; TimeoutError when it is not in time."""
    async with asyncio.timeout(timeout_s):
        while not is_so():  # noqa: ASYNC110  # that is what this is for
            await asyncio.sleep(0.002)
