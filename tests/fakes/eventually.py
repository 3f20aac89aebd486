"""Waiting for what another process does, which has to be asked for: look, and look again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_S = 0.01


async def eventually(holds: Callable[[], Awaitable[object]]) -> None:
    """Return once `holds` gives something true; the test's own timeout is the limit."""
    while not await holds():  # noqa: ASYNC110  # there is no event on this side of the process
        await asyncio.sleep(LOOK_S)
