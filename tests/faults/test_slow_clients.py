"""Hundreds of slow clients before a real node: each is let go of in time, none costs much, and nobody else notices."""

from __future__ import annotations

import asyncio
import gzip
import socket

from tests.fakes.origins import READ_HEAD, Act, Read, Send, running_evil_origin
from tests.fakes.timing import Stopwatch, steadily
from tests.fakes.waiting import until
from tests.faults.slow_site import (
    BIG_BYTES,
    DEADLINE_S,
    FULL_READS_KIB,
    KIB,
    LATE_S,
    clients,
    for_each,
    good_traffic,
    has_asked_targets,
    kib_each,
    rest_of,
    running_site,
    send,
    warmed,
)

BOMB = gzip.compress(bytes(64 * KIB * KIB))


async def test_heads_that_come_byte_by_byte_are_answered_408_in_time_and_cost_little(redis_url: str) -> None:
    head = b"GET / HTTP/1.1\r\nHost: shop.test\r\nX-Slow: " + b"a" * 1000
    loop = asyncio.get_running_loop()
    async with running_site(redis_url) as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            began_s, watch = loop.time(), Stopwatch()
            with clients(site, 300) as links:

                async def drip(link: socket.socket) -> None:
                    for byte in head:
                        if not await send(link, bytes([byte])):
                            return
                        await asyncio.sleep(0.1)

                dripping = [asyncio.create_task(drip(link)) for link in links]
                each_kib = await kib_each(site, links, before_kib)
                answers = await for_each(links, rest_of)
                took_s, counted_s = loop.time() - began_s, watch.took_s
                for task in dripping:
                    task.cancel()
        assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
        assert took_s >= DEADLINE_S
        assert counted_s < DEADLINE_S + LATE_S
        assert each_kib <= 40
        await site.drained()


async def test_answers_that_nobody_reads_are_cut_in_time_cost_little_and_free_their_targets(redis_url: str) -> None:
    request = b"GET /bytes/%d HTTP/1.1\r\nHost: shop.test\r\n\r\n" % BIG_BYTES
    # Long enough for the last of them to be there before the first is cut.
    async with running_site(redis_url, PORTICO_WRITE_TIMEOUT="5s") as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            with clients(site, 100) as links:
                await for_each(links, lambda link: send(link, request))
                await until(lambda: has_asked_targets(site, len(links)))
                each_kib = await kib_each(site, links, before_kib)
                await site.drained(connections=1)
                answers = await for_each(links, rest_of)
        assert all(len(answer) < BIG_BYTES for answer in answers)
        assert each_kib <= FULL_READS_KIB


@steadily
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
                        heard += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(link, 64 * KIB), 20)
                grown_kib = site.private_kib() - before_kib
                await asyncio.gather(*sending)
        assert all(connection.received.endswith(BOMB) for connection in target.connections)
        assert grown_kib <= 2 * KIB
