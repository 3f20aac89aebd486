"""A limiter before a real Redis, for the tests of limits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from store.client import connect
from tests.edge.client_edge.taking import Taking


@pytest_asyncio.fixture
async def taking(redis_url: str) -> AsyncIterator[Taking]:
    async with connect(redis_url, "data") as client:
        taking = Taking(client)
        yield taking
        await taking.guards.aclose()
