"""A real node with one worker before good and other targets, clients on plain sockets, and what each of them costs."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from edge.pool import MAX_IDLE
from loadtest.node import Node, put_tenant, running_node
from store.catalog import Catalog
from store.client import connect
from tests.fakes.origins import running_origin
from tests.fakes.timing import within
from tests.fakes.waiting import until

KIB = 1024
DEADLINE_S = 1.5
LATE_S = 4.0
"""How much later than its deadline a connection may end on a machine that does other things too."""

FULL_READS_KIB = 320
"""What was read is held once before a writer that waits and once behind it: two reads and up to three, and what the
allocator keeps of its pages besides, which differs from run to run."""

SHORT = {
    "PORTICO_HEAD_TIMEOUT": "1500ms",
    "PORTICO_BODY_TIMEOUT": "1500ms",
    "PORTICO_WRITE_TIMEOUT": "1500ms",
}
BIG_BYTES = 10_000_000


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
                async with within(LATE_S), session.get(url, headers={"Host": "shop.test"}) as answer:
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
        async with within(DEADLINE_S + LATE_S):
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


async def has_asked_targets(site: Site, count: int) -> bool:
    """Say whether so many connections to targets are open."""
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
