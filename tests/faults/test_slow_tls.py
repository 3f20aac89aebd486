"""Clients by TLS, quick and slow: answers of any size arrive whole, and what nobody reads costs little and is cut."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trustme

from tests.fakes.waiting import until
from tests.faults.slow_site import BIG_BYTES, Site, good_traffic, has_asked_targets, running_site, warmed

CLIENTS = 60
STALLED_TLS_KIB = 470
"""What a plain one may cost, and TLS' own state and buffers."""
HOST = b"Host: shop.test\r\n"


@dataclass
class Door:
    """A node that serves HTTPS, and what its clients trust."""

    site: Site
    port: int
    trusting: ssl.SSLContext

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trusting, server_hostname="shop.test")


@asynccontextmanager
async def running_door(redis_url: str, folder: Path, **settings: str) -> AsyncIterator[Door]:
    authority = trustme.CA()
    certificate = authority.issue_cert("shop.test")
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    tls = {
        "PORTICO_LISTEN_TLS": "127.0.0.1:0",
        "PORTICO_TLS_CERT": str(folder / "cert.pem"),
        "PORTICO_TLS_KEY": str(folder / "key.pem"),
    }
    async with running_site(redis_url, **settings, **tls) as site:
        [port] = re.findall(r"https://127\.0\.0\.1:(\d+)", "".join(site.node.said))
        yield Door(site, int(port), trusting)


async def body_of(reader: asyncio.StreamReader, size: int) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: %d\r\n" % size in head
    return await reader.readexactly(size)


async def test_answers_by_tls_arrive_whole_whatever_their_size(redis_url: str, tmp_path: Path) -> None:
    async with running_door(redis_url, tmp_path) as door:
        reader, writer = await door.connect()
        async with asyncio.timeout(20):
            for size in (10, 100_000, BIG_BYTES, 60_000, 1_000_000):
                writer.write(b"GET /bytes/%d HTTP/1.1\r\n" % size + HOST + b"\r\n")
                assert len(await body_of(reader, size)) == size
            writer.write((b"GET /bytes/100000 HTTP/1.1\r\n" + HOST + b"\r\n") * 5)  # ahead of their answers
            for _ in range(5):
                await body_of(reader, 100_000)
        writer.close()


async def test_a_connection_by_tls_goes_on_however_its_requests_are_cut(redis_url: str, tmp_path: Path) -> None:
    """Longer than a write may take: what were still held to be unsent would end it."""
    async with running_door(redis_url, tmp_path, PORTICO_WRITE_TIMEOUT="500ms") as door:
        reader, writer = await door.connect()
        upload = b"POST /upload HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + bytes(1_000_000)
        async with asyncio.timeout(20):
            for pieces in (
                (b"GET /bytes/10 HTT", b"P/1.1\r\n" + HOST + b"\r\n"),
                (upload,),
                (upload[:100], upload[100:]),
            ):
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(0.05)  # so that each is a record of its own
                head = await reader.readuntil(b"\r\n\r\n")
                [length] = re.findall(rb"Content-Length: (\d+)", head)
                await reader.readexactly(int(length))
                await asyncio.sleep(1)
                assert await door.site.metric("portico_requests_in_flight") == 0
        assert not reader.at_eof()
        writer.close()


async def test_answers_by_tls_that_nobody_reads_are_cut_and_cost_little(redis_url: str, tmp_path: Path) -> None:
    async with running_door(redis_url, tmp_path, PORTICO_WRITE_TIMEOUT="5s") as door:
        before_kib = await warmed(door.site)

        async def ask() -> asyncio.StreamWriter:
            _, writer = await door.connect()
            cast(asyncio.Transport, writer.transport).pause_reading()
            writer.write(b"GET /bytes/%d HTTP/1.1\r\n" % BIG_BYTES + HOST + b"\r\n")
            return writer

        async with good_traffic(door.site):
            writers = await asyncio.gather(*(ask() for _ in range(CLIENTS)))
            await until(lambda: has_asked_targets(door.site, CLIENTS))
            await asyncio.sleep(0.5)  # nothing tells when the last buffer on the way is full
            each_kib = (door.site.private_kib() - before_kib) / CLIENTS
            await door.site.drained(connections=1)
            for writer in writers:
                writer.transport.abort()
    assert each_kib <= STALLED_TLS_KIB
