"""Waiting for what another process does and nothing here is told of: look, and look again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_S = 0.01


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Return once `holds` gives something true; the test's own timeout is the limit."""
    while not await holds():
        await asyncio.sleep(LOOK_S)  # noqa: ASYNC110 - there is no event on this side of the process
