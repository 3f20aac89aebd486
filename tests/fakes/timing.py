"""Bounds on how long something takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def within(most_s: float) -> AsyncIterator[None]:
    """Fail when what is inside takes longer than `most_s`; it is not interrupted."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    yield
    took_s = loop.time() - began_s
    assert took_s < most_s, f"took {took_s:.3f} s"
