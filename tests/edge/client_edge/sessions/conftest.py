"""An OpenID provider for this folder's tests, well-behaved at the beginning of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.openid import RunningProvider, running_provider
from tests.fakes.visitors import SECRETS, operators


@pytest.fixture(scope="module")
def one_provider() -> Iterator[RunningProvider]:
    """A provider for all tests of a file."""
    with running_provider() as running:
        yield running


@pytest_asyncio.fixture
async def provider(one_provider: RunningProvider) -> RunningProvider:
    """The provider, with good manners."""
    await one_provider.tell()
    return one_provider


@pytest_asyncio.fixture
async def edge(redis_url: str, provider: RunningProvider) -> AsyncIterator[RunningEdge]:
    """An edge whose operator has the provider."""
    async with running_edge(redis_url, SECRETS, **operators(provider)) as running:
        yield running
