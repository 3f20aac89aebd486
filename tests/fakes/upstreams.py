"""An upstream's group before real targets of 127.0.0.1, for tests of what becomes of its requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from multidict import CIMultiDict

from edge.context import ProxyContext, ProxyRequest
from edge.message import ProxyResponse
from edge.upstreams.egress import EgressFilter
from edge.upstreams.group import UpstreamGroup
from edge.upstreams.health import Health
from edge.upstreams.live import LiveTarget, LiveTargets
from store.model import Upstream
from tests.fakes.origins import RunningOrigin, refusing_port, running_origin
from tests.fakes.requests import FakeIncoming, incoming


class Running:
    """A group with the targets it holds."""

    def __init__(self, urls: Iterable[str | dict[str, Any]], live: LiveTargets | None = None, **fields: Any) -> None:
        self.live = LiveTargets(EgressFilter(["127.0.0.0/8"]).allows) if live is None else live
        self.upstream = Upstream.model_validate({"targets": list(urls), **fields})
        self.group = UpstreamGroup("acme", "app", self.upstream, self.live)

    def target(self, at: int) -> LiveTarget:
        """Give a target by its place in the document."""
        (held,) = (each for key, each in self.live._targets.items() if key.url == self.upstream.targets[at].url)
        return held

    async def ask(self, request: FakeIncoming | None = None) -> tuple[int, bytes]:
        """Ask, and read the whole answer."""
        response = await self.send(request)
        return response.status, await response.load_content()

    async def send(self, request: FakeIncoming | None = None) -> ProxyResponse:
        """Ask, and leave the body to the test."""
        return await self.group.send(context(request or incoming()))


@asynccontextmanager
async def running(*urls: str | dict[str, Any], **fields: Any) -> AsyncIterator[Running]:
    """Run a group of the tenant acme before these targets; `fields` are its settings as a document spells them."""
    group = Running(urls, **fields)
    try:
        yield group
    finally:
        group.group.close()


def context(request: FakeIncoming) -> ProxyContext:
    """Make the context of a request, as the edge does."""
    path, _, query = request.raw_path.partition("?")
    return ProxyContext().copy_for(ProxyRequest(request, path, query, CIMultiDict(request.headers)))


@asynccontextmanager
async def origins(count: int) -> AsyncIterator[list[RunningOrigin]]:
    """Run so many good origins."""
    if count == 0:
        yield []
        return
    async with running_origin(f"origin-{count}") as origin, origins(count - 1) as others:
        yield [origin, *others]


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """Give the URL of a target that refuses connections."""
    with refusing_port() as port:
        yield f"http://127.0.0.1:{port}"


def hits(origin: RunningOrigin) -> int:
    """Count the requests that an origin has had."""
    return sum(origin.state.hits.values())


def sick(target: LiveTarget) -> None:
    """Have active checks find a target unhealthy; it must have some."""
    assert target._monitor is not None
    target._monitor.health = Health(False)
