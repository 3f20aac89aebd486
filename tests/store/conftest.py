"""Clients of the shared Redis, closed when the test is over."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from store.catalog import Catalog
from store.client import Client, connect


@pytest_asyncio.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    """A control-plane client."""
    async with connect(redis_url, "control") as opened:
        yield opened


@pytest_asyncio.fixture
async def catalog(client: Client) -> Catalog:
    """The catalog on an empty Redis."""
    return Catalog(client)
