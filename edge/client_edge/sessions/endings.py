"""Has a worker forget the sessions that end at other workers, each by itself, within milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from edge.client_edge.sessions.known import KnownSessions
from store.endings import Endings


@asynccontextmanager
async def heeded(endings: Endings, known: KnownSessions | None) -> AsyncIterator[None]:
    """Heed what is heard of endings, until the end of the block; `known` None: there are no sessions here."""
    if known is None:
        yield
        return
    heeding = asyncio.create_task(_heed(endings, known))
    try:
        yield
    finally:
        heeding.cancel()
        await asyncio.gather(heeding, return_exceptions=True)


async def _heed(endings: Endings, known: KnownSessions) -> None:
    async with aclosing(endings.heard()) as heard:
        async for is_gap, ended in heard:
            if is_gap:
                known.doubt()
            for each in ended:
                known.drop_ended(each)
