"""An edge before an origin that writes down what reaches it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from edge import assembly
from edge.client_edge.key_sets import KeySets
from edge.client_edge.sessions import parts
from edge.client_edge.sessions.providers import Providers
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.issuers import Clock
from tests.fakes.recorder import Recorder, running_recorder
from tests.fakes.verdicts import to_acme


@pytest_asyncio.fixture
async def recorder() -> AsyncIterator[Recorder]:
    """The target of `edge`."""
    async with running_recorder() as running:
        yield running


@pytest_asyncio.fixture
async def edge(redis_url: str, recorder: Recorder) -> AsyncIterator[RunningEdge]:
    """A whole edge worker whose one tenant, acme, has the domain shop.test."""
    async with running_edge(redis_url) as running:
        await running.put(to_acme(recorder.url))
        yield running


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which the edge says how old key sets and descriptions are."""
    clock = Clock()
    monkeypatch.setattr(assembly, "KeySets", partial(KeySets, now_s=clock))
    monkeypatch.setattr(parts, "Providers", partial(Providers, now_s=clock))
    return clock
