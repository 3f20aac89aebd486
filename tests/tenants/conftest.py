"""A control plane in the test's own event loop, on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from store.catalog import Catalog
from store.client import connect
from tests.tenants.plane import Plane, running_plane
from tests.tenants.portico import Portico, talking_to


@pytest.fixture
async def catalog(redis_url: str) -> AsyncIterator[Catalog]:
    """The catalog of the emptied shared Redis."""
    async with connect(redis_url, "control") as client:
        yield Catalog(client)


@pytest.fixture
async def plane(redis_url: str) -> AsyncIterator[Plane]:
    """A control plane over the emptied shared Redis."""
    async with running_plane(redis_url) as plane:
        yield plane


@pytest.fixture
async def acme(plane: Plane) -> Plane:
    """The plane with one tenant, `acme`, in it."""
    await plane.put("acme")
    return plane


@pytest.fixture
def portico(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Portico:
    """The command line, talking to the plane as an operator."""
    return talking_to(plane, monkeypatch)
