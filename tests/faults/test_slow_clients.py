"""Hundreds of slow clients before a real node: each is let go of in time, none costs much, and nobody else notices."""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge.pool import MAX_IDLE
from loadtest.node import Node, put_tenant, running_node
from store.catalog import Catalog
from store.client import connect
from tests.fakes.origins import READ_HEAD, Act, Read, Send, Wait, running_evil_origin, running_origin
from tests.fakes.waiting import until

KIB = 1024
DEADLINE_S = 1.5
LATE_S = 4.0
"""How much later than its deadline a connection may end on a machine that does other things too."""

FULL_READS_KIB = 400
"""What was read is held once before a writer that waits and once behind it: a quarter of a megabyte, and what the
allocator keeps of its pages besides, which differs from run to run."""

SHORT = {
    "PORTICO_HEAD_TIMEOUT": "1500ms",
    "PORTICO_BODY_TIMEOUT": "1500ms",
    "PORTICO_WRITE_TIMEOUT": "1500ms",
}
BIG_BYTES = 10_000_000
BOMB = gzip.compress(bytes(64 * KIB * KIB))


@dataclass
class Site:
    """A node with one worker, and a tenant whose routes lead to a good target and to another."""

    node: Node
    pid: int

    def private_kib(self) -> int:
        """Measure the worker's memory, what it shares with nobody."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE)))

    async def metric(self, name: str) -> float:
        """Ask the node for one number."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.node.ops_url}/metrics") as answer:
            found = re.search(rf"^{name} ([0-9.]+)", await answer.text(), re.MULTILINE)
        assert found, name
        return float(found[1])

    async def drained(self, connections: int = 0) -> None:
        """Wait until only so many clients' connections are open, and only idle ones to the targets."""

        async def is_so() -> bool:
            open_now = await self.metric("portico_connections_open")
            return open_now <= connections and await self.metric("portico_upstream_connections") <= MAX_IDLE

        await until(is_so)


@asynccontextmanager
async def running_site(redis_url: str, other: str = "http://127.0.0.1:9", **settings: str) -> AsyncIterator[Site]:
    async with running_origin() as origin, connect(redis_url, "control") as client:
        document = {
            "tenant": "acme",
            "domains": [{"host": "shop.test", "verified_by": "operator"}],
            "upstreams": {
                "app": {"targets": [origin.url], "max_connections": 1000},
                "other": {"targets": [other], "idle_timeout": "2s"},
            },
            "routes": [
                {"name": "all", "path": "/*", "upstream": "app"},
                {"name": "other", "path": "/other", "upstream": "other"},
            ],
        }
        revision = await put_tenant(Catalog(client), document)
        async with running_node(redis_url, workers=1, **{**SHORT, **settings}) as node:
            (worker,) = (await node.status())["workers"]
            assert worker["revision"] >= revision
            yield Site(node, worker["pid"])


@asynccontextmanager
async def good_traffic(site: Site) -> AsyncIterator[None]:
    """While entered, ask again and again; every answer has to be right and not late."""
    asked = 0

    async def ask() -> None:
        nonlocal asked
        async with aiohttp.ClientSession() as session:
            while True:
                url = f"http://127.0.0.1:{site.node.port}/echo/{asked}"
                async with asyncio.timeout(LATE_S), session.get(url, headers={"Host": "shop.test"}) as answer:
                    assert answer.status == 200
                    assert (await answer.json())["path"] == f"/echo/{asked}"
                asked += 1
                await asyncio.sleep(0.005)

    asking = asyncio.create_task(ask())
    try:
        await until(lambda: asked > 5 or asking.done())
        yield
        wanted = asked + 5
        await until(lambda: asked > wanted or asking.done())
    finally:
        asking.cancel()
        (fault,) = await asyncio.gather(asking, return_exceptions=True)
    assert isinstance(fault, asyncio.CancelledError), fault


@contextmanager
def clients(site: Site, count: int) -> Iterator[list[socket.socket]]:
    """Connect so many clients that take little into their own buffers."""
    links = [socket.socket() for _ in range(count)]
    try:
        for link in links:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
            link.connect(("127.0.0.1", site.node.port))
            link.setblocking(False)
        yield links
    finally:
        for link in links:
            link.close()


Each = Callable[[socket.socket], Awaitable[Any]]


async def for_each(links: list[socket.socket], work: Each) -> list[Any]:
    return list(await asyncio.gather(*map(work, links)))


async def send(link: socket.socket, data: bytes) -> bool:
    """Send as much as is taken; False when the edge has ended the connection."""
    try:
        await asyncio.get_running_loop().sock_sendall(link, data)
    except ConnectionError:
        return False
    return True


async def rest_of(link: socket.socket) -> bytes:
    """Read to the end, however it comes."""
    heard = bytearray()
    try:
        async with asyncio.timeout(DEADLINE_S + LATE_S):
            while data := await asyncio.get_running_loop().sock_recv(link, 64 * KIB):
                heard += data
    except ConnectionError:
        pass
    return bytes(heard)


async def kib_each(site: Site, links: list[socket.socket], before_kib: int) -> float:
    """Say what each of the connections costs once all of them are there and wait."""
    await until(lambda: _has_accepted(site, len(links)))
    return (site.private_kib() - before_kib) / len(links)


async def _has_accepted(site: Site, count: int) -> bool:
    return await site.metric("portico_connections_open") >= count


async def _has_asked_targets(site: Site, count: int) -> bool:
    return await site.metric("portico_upstream_connections") >= count


async def warmed(site: Site) -> int:
    """Have the worker do everything once, and measure what it holds."""
    with clients(site, 20) as links:
        await for_each(
            links,
            lambda link: send(link, b"GET /bytes/300000 HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"),
        )
        assert all(len(each) > 300_000 for each in await for_each(links, rest_of))
    await site.drained()
    return site.private_kib()


async def test_heads_that_come_byte_by_byte_are_answered_408_in_time_and_cost_little(redis_url: str) -> None:
    head = b"GET / HTTP/1.1\r\nHost: shop.test\r\nX-Slow: " + b"a" * 1000
    loop = asyncio.get_running_loop()
    async with running_site(redis_url) as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            began_s = loop.time()
            with clients(site, 300) as links:

                async def drip(link: socket.socket) -> None:
                    for byte in head:
                        if not await send(link, bytes([byte])):
                            return
                        await asyncio.sleep(0.1)

                dripping = [asyncio.create_task(drip(link)) for link in links]
                each_kib = await kib_each(site, links, before_kib)
                answers = await for_each(links, rest_of)
                took_s = loop.time() - began_s
                for task in dripping:
                    task.cancel()
        assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
        assert DEADLINE_S <= took_s < DEADLINE_S + LATE_S
        assert each_kib <= 40
        await site.drained()


async def test_uploads_that_stop_are_answered_408_in_time_and_cost_little(redis_url: str) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: shop.test\r\nContent-Length: %d\r\n\r\n" % BIG_BYTES
    async with running_site(redis_url) as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            with clients(site, 200) as links:
                await for_each(links, lambda link: send(link, head + b"x" * 50_000))
                each_kib = await kib_each(site, links, before_kib)
                answers = await for_each(links, rest_of)
        assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
        assert each_kib <= 120
        await site.drained()


async def test_uploads_that_their_target_does_not_take_are_held_in_little_memory(redis_url: str) -> None:
    head = b"POST /other HTTP/1.1\r\nHost: shop.test\r\nContent-Length: %d\r\n\r\n" % (10 * BIG_BYTES)
    async with running_evil_origin(READ_HEAD, Wait(asyncio.Event())) as deaf:
        async with running_site(redis_url, deaf.url) as site:
            before_kib = await warmed(site)

            async def upload(link: socket.socket) -> None:
                taken = await send(link, head)
                while taken:
                    taken = await send(link, bytes(64 * KIB))

            async with good_traffic(site):
                with clients(site, 60) as links:
                    sending = [asyncio.create_task(upload(link)) for link in links]
                    await deaf.connected(len(links))
                    await asyncio.sleep(0.5)  # nothing tells when the last buffer on the way is full
                    each_kib = await kib_each(site, links, before_kib)
                    assert not any(task.done() for task in sending)
                    for task in sending:
                        task.cancel()
                    await asyncio.gather(*sending, return_exceptions=True)
            assert each_kib <= FULL_READS_KIB
            await site.drained()


async def test_answers_that_nobody_reads_are_cut_in_time_cost_little_and_free_their_targets(redis_url: str) -> None:
    request = b"GET /bytes/%d HTTP/1.1\r\nHost: shop.test\r\n\r\n" % BIG_BYTES
    # Long enough for the last of them to be there before the first is cut.
    async with running_site(redis_url, PORTICO_WRITE_TIMEOUT="5s") as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            with clients(site, 100) as links:
                await for_each(links, lambda link: send(link, request))
                await until(lambda: _has_asked_targets(site, len(links)))
                each_kib = await kib_each(site, links, before_kib)
                await site.drained(connections=1)
                answers = await for_each(links, rest_of)
        assert all(len(answer) < BIG_BYTES for answer in answers)
        assert each_kib <= FULL_READS_KIB


async def test_an_answer_that_is_read_slowly_but_steadily_arrives_whole(redis_url: str) -> None:
    loop = asyncio.get_running_loop()
    async with running_site(redis_url) as site:
        with clients(site, 20) as links:

            async def read(link: socket.socket) -> int:
                size, began_s = 0, loop.time()
                await send(link, b"GET /bytes/400000 HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
                while data := await loop.sock_recv(link, 32 * KIB):
                    size += len(data)
                    await asyncio.sleep(0.01 if loop.time() - began_s > DEADLINE_S + 0.5 else 0.1)
                return size

            assert all(size > 400_000 for size in await for_each(links, read))


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        pytest.param(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n", b'"bytes": 100000', id="tiny chunks"),
        pytest.param(b"1;" + b"x" * 4_000_000 + b"\r\nx\r\n0\r\n\r\n", b"", id="a long extension"),
        pytest.param(b"1\r\nx\r\n0\r\n" + b"X-Y: z\r\n" * 100_000 + b"\r\n", b"", id="many trailers"),
    ],
)
async def test_chunks_that_are_mostly_framing_cost_little_memory(
    redis_url: str, framing: bytes, expected: bytes
) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    async with running_site(redis_url) as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            with clients(site, 4) as links:
                sending = [asyncio.create_task(send(link, head + framing)) for link in links]
                answers = await for_each(links, rest_of)
                grown_kib = site.private_kib() - before_kib
                await asyncio.gather(*sending)
        assert all(expected in answer for answer in answers)
        assert {answer[:10] for answer in answers} <= {b"HTTP/1.1 2", b"HTTP/1.1 4"}
        assert grown_kib <= 4 * KIB
        await site.drained()


async def test_a_gzip_bomb_passes_both_ways_as_it_is(redis_url: str) -> None:
    head = b"POST /other HTTP/1.1\r\nHost: shop.test\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(
        BOMB
    )
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB
    script = (READ_HEAD, Read(len(BOMB)), Send(answer), Act("read all"))
    async with running_evil_origin(*script) as target, running_site(redis_url, target.url) as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            with clients(site, 4) as links:
                sending = [asyncio.create_task(send(link, head + BOMB)) for link in links]
                for link in links:
                    heard = b""
                    while not heard.endswith(BOMB):
                        heard += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(link, 64 * KIB), LATE_S)
                grown_kib = site.private_kib() - before_kib
                await asyncio.gather(*sending)
        assert all(connection.received.endswith(BOMB) for connection in target.connections)
        assert grown_kib <= 2 * KIB
