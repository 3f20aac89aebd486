"""Waiting for what has no event of its own: a state that another process or task brings about. Look, and look again."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable

LOOK_S = 0.005


async def until(is_so: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Return when `is_so()`, or what awaiting it gives, is true; TimeoutError when it is not in time."""
    async with asyncio.timeout(timeout_s):
        while not await _value(is_so()):  # noqa: ASYNC110  # that is what this is for
            await asyncio.sleep(LOOK_S)


async def _value(found: object) -> object:
    return await found if inspect.isawaitable(found) else found
