"""Writers of one tenant in one process take turns, so that they do not make each other try again.

A politeness and no more: what keeps a write from being lost is the revision that the commit compares. So whoever has
waited long enough goes ahead without a turn, and a store that answers slowly delays nobody by more than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

PATIENCE_S = 1.0


class Turns:
    """Turns by name; a name that nobody waits for costs nothing."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, name: str) -> AsyncIterator[bool]:
        """Wait for the others of this name, up to the patience; gives whether it is our turn now."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        is_ours = await self._acquire(lock)
        try:
            yield is_ours
        finally:
            if is_ours:
                lock.release()

    async def _acquire(self, lock: asyncio.Lock) -> bool:
        try:
            async with asyncio.timeout(self._patience_s):
                return await lock.acquire()
        except TimeoutError:
            return False
