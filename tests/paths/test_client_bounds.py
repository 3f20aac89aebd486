"""What clients' connections may take, over real sockets: each bound is held, answered and counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.origins import RunningOrigin
from tests.fakes.waiting import until

HEAD = b"GET /echo HTTP/1.1\r\nHost: shop.test\r\n"


@asynccontextmanager
async def edge_with(redis_url: str, origin: RunningOrigin, **flags: str) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url, **flags) as edge:
        for tenant in ("shop", "other"):
            await edge.put(
                {
                    "tenant": tenant,
                    "domains": [{"host": f"{tenant}.test", "verified_by": "operator"}],
                    "upstreams": {"app": {"targets": [origin.url]}},
                    "routes": [{"name": "all", "path": "/*", "upstream": "app"}],
                }
            )
        yield edge


class Client:
    """A connection that stays open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def status(self, host: str = "shop.test") -> int:
        """Ask once and read the answer's status; 0 when the connection has been closed."""
        self.writer.write(b"GET /status/200 HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
        try:
            head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b": 0")
        await self.reader.readexactly(int(length.partition(b":")[2]))
        return int(head.split(b" ")[1])


@asynccontextmanager
async def client_of(edge: RunningEdge) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


def met(edge: RunningEdge, bound: str) -> float:
    return edge.worker.samples()[f'portico_client_bounds_total{{bound="{bound}"}}']


async def test_an_address_has_so_many_connections_and_again_when_one_ends(
    redis_url: str, origin: RunningOrigin
) -> None:
    async with edge_with(redis_url, origin, max_per_address="2") as edge:
        async with client_of(edge) as first:
            async with client_of(edge) as second, client_of(edge) as third:
                assert [await each.status() for each in (first, second, third)] == [200, 200, 0]
            await until(lambda: len(edge.worker.server.connections) == 1)
            async with client_of(edge) as fourth:
                assert await fourth.status() == 200
        assert met(edge, "address") == 1


async def test_a_trusted_proxy_has_as_many_as_it_needs(redis_url: str, origin: RunningOrigin) -> None:
    async with (
        edge_with(redis_url, origin, max_per_address="1", trusted_proxies="127.0.0.1/32") as edge,
        client_of(edge) as first,
        client_of(edge) as second,
    ):
        assert [await first.status(), await second.status()] == [200, 200]


async def test_a_tenant_with_all_its_connections_leaves_the_others_theirs(
    redis_url: str, origin: RunningOrigin
) -> None:
    async with edge_with(redis_url, origin, max_per_tenant="1") as edge:
        async with client_of(edge) as first, client_of(edge) as second, client_of(edge) as third:
            assert await first.status() == 200
            assert await second.status() == 503
            assert await third.status("other.test") == 200
            assert await first.status() == 200
            assert await second.status() == 0  # it was closed with its answer
        await until(lambda: not edge.worker.server.connections)
        async with client_of(edge) as fourth:
            assert await fourth.status() == 200
        assert met(edge, "tenant") == 1


async def test_a_connection_that_goes_on_to_another_tenant_makes_room_for_the_first(
    redis_url: str, origin: RunningOrigin
) -> None:
    async with (
        edge_with(redis_url, origin, max_per_tenant="1") as edge,
        client_of(edge) as first,
        client_of(edge) as second,
    ):
        assert [await first.status(), await first.status("other.test"), await second.status()] == [200, 200, 200]


async def test_the_number_of_fields_and_the_length_of_a_target_are_what_they_are_set_to(
    redis_url: str, origin: RunningOrigin
) -> None:
    async with edge_with(redis_url, origin, max_fields="10", max_target_bytes="300B") as edge:
        last = b"Connection: close\r\n\r\n"
        for count, status in ((8, b"200"), (9, b"431")):
            answer = await edge.request(HEAD + b"X-Y: z\r\n" * count + last)
            assert answer.startswith(b"HTTP/1.1 " + status), count
        for length, status in ((300, b"200"), (400, b"414")):
            target = b"/echo?" + b"q" * (length - 6)
            answer = await edge.request(b"GET " + target + b" HTTP/1.1\r\nHost: shop.test\r\n" + last)
            assert answer.startswith(b"HTTP/1.1 " + status), length


async def test_so_many_requests_are_read_ahead_and_all_of_them_answered_in_order(
    redis_url: str, origin: RunningOrigin
) -> None:
    async with edge_with(redis_url, origin, max_pipelined="4") as edge, client_of(edge) as client:
        for at in range(200):
            client.writer.write(b"GET /echo?%d HTTP/1.1\r\nHost: shop.test\r\n\r\n" % at)
        [connection] = await connections(edge)
        seen, received = 0, b""
        while seen < 200:
            received += await asyncio.wait_for(client.reader.read(65536), 5)
            assert len(connection._messages) <= 1
            while f'/echo?{seen}"'.encode() in received:
                seen += 1
        assert met(edge, "pipeline") > 0


async def connections(edge: RunningEdge) -> list[Any]:
    await until(lambda: edge.worker.server.connections)
    return list(edge.worker.server.connections)


async def test_silence_and_idleness_are_counted(redis_url: str, origin: RunningOrigin) -> None:
    async with edge_with(redis_url, origin, head_timeout_s="200ms", keepalive_timeout_s="300ms") as edge:
        async with client_of(edge) as silent, client_of(edge) as idle:
            assert await idle.status() == 200
            assert await asyncio.wait_for(silent.reader.read(), 5) == b""
            assert await asyncio.wait_for(idle.reader.read(), 5) == b""
        assert (met(edge, "silence"), met(edge, "idle")) == (1, 1)
