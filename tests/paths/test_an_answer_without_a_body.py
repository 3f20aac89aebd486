"""Answers that end at their heads whatever their fields say (RFC 9112 section 6.3), from the target to the client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.origins import HANG, READ_HEAD, Send, running_evil_origin


@pytest_asyncio.fixture
async def edge(redis_url: str) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url) as running:
        yield running


@pytest.mark.parametrize("field", [b"", b"Content-Length: 0\r\n", b"Content-Length: 5\r\n"])
@pytest.mark.parametrize("body", [b"", b"hello"])
async def test_a_204_passes_without_a_length_and_without_a_body(edge: RunningEdge, field: bytes, body: bytes) -> None:
    answer = Send(b"HTTP/1.1 204 No Content\r\nX-Kept: yes\r\n" + field + b"\r\n" + body)
    async with running_evil_origin(READ_HEAD, answer, READ_HEAD, answer, HANG) as evil:
        await edge.put(
            {
                "tenant": "acme",
                "domains": [{"host": "shop.test", "verified_by": "operator"}],
                "upstreams": {"app": {"targets": [evil.url]}},
                "routes": [{"name": "all", "path": "/*", "upstream": "app"}],
            }
        )
        for _ in range(2):
            told = await edge.get("/")
            assert (told.status, told.body, told.headers["x-kept"]) == (204, b"", "yes")
            assert "content-length" not in told.headers
        # One that announces a body may send it later, and be followed by it.
        assert len(evil.connections) == (2 if body or field.endswith(b" 5\r\n") else 1)
