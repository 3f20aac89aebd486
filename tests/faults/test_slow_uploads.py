"""Hundreds of slow uploads before a real node: each is let go of in time, none costs much, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.fakes.origins import READ_HEAD, Wait, running_evil_origin
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


async def test_uploads_that_drip_are_answered_408_in_time_and_cost_little(redis_url: str) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: shop.test\r\nContent-Length: %d\r\n\r\n" % BIG_BYTES
    loop = asyncio.get_running_loop()
    paced = {"PORTICO_BODY_TIMEOUT": "30s", "PORTICO_BODY_GRACE": "1500ms", "PORTICO_BODY_MIN_RATE": "1KiB"}
    async with running_site(redis_url, **paced) as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            began_s, watch = loop.time(), Stopwatch()
            with clients(site, 200) as links:

                async def drip(link: socket.socket) -> None:
                    await send(link, head)
                    for _ in range(100):
                        if not await send(link, b"x"):
                            return
                        await asyncio.sleep(0.1)

                dripping = [asyncio.create_task(drip(link)) for link in links]
                each_kib = await kib_each(site, links, before_kib)
                answers = await for_each(links, rest_of)
                took_s, counted_s = loop.time() - began_s, watch.took_s
                await asyncio.gather(*dripping)
        assert {answer[:13] for answer in answers} == {b"HTTP/1.1 408 "}
        assert took_s >= DEADLINE_S
        assert counted_s < DEADLINE_S + LATE_S
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


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        pytest.param(b"5\r\nxxxxx\r\n" * 100_000 + b"0\r\n\r\n", b'"bytes": 500000', id="small chunks"),
        pytest.param(b"1\r\nx\r\n" * 600_000 + b"0\r\n\r\n", b'"bad_request"', id="tiny chunks"),
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


TRAILERS = b"".join(b"X-%d: %b\r\n" % (at, b"a" * 7600) for at in range(99))


@pytest.mark.parametrize("body", [b"", b"ea60\r\n%b\r\n" % bytes(60_000) * 13], ids=["no body", "much body"])
@steadily
async def test_trailers_that_do_not_end_cost_little_however_many_come_at_once(redis_url: str, body: bytes) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with running_site(redis_url) as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            with clients(site, 40) as links:
                sending = [asyncio.create_task(send(link, head + body + b"0\r\n" + TRAILERS)) for link in links]
                answers = await for_each(links, rest_of)
                each_kib = (site.private_kib() - before_kib) / len(links)  # the edge still reads what comes
                await asyncio.gather(*sending)
        assert {answer[:13] for answer in answers} == {b"HTTP/1.1 400 "}
        assert each_kib <= FULL_READS_KIB
        await site.drained()


async def test_what_is_no_request_behind_one_under_way_is_held_in_little_memory(redis_url: str) -> None:
    async with running_site(redis_url) as site:
        before_kib = await warmed(site)

        async def go_on(link: socket.socket) -> None:
            while await send(link, bytes(64 * KIB)):
                pass

        async with good_traffic(site):
            with clients(site, 40) as links:
                await for_each(links, lambda link: send(link, b"GET /delay/3 HTTP/1.1\r\nHost: shop.test\r\n\r\n"))
                await until(lambda: has_asked_targets(site, len(links)))
                sending = [asyncio.create_task(go_on(link)) for link in links]
                await asyncio.sleep(0.5)  # nothing tells when the last buffer on the way is full
                each_kib = await kib_each(site, links, before_kib)
                answers = await for_each(links, rest_of)
                await asyncio.gather(*sending)
        assert {answer[:13] for answer in answers} == {b"HTTP/1.1 200 "}
        assert {answer.count(b"HTTP/1.1 400 ") for answer in answers} == {1}
        assert each_kib <= 120
        await site.drained()


async def test_what_is_no_request_at_all_is_held_in_little_memory_until_its_answer_is_read(redis_url: str) -> None:
    async with running_site(redis_url) as site:
        before_kib = await warmed(site)
        async with good_traffic(site):
            with clients(site, 200) as links:
                await for_each(links, lambda link: send(link, bytes(30 * KIB)))
                each_kib = await kib_each(site, links, before_kib)
                answers = await for_each(links, rest_of)
        assert {answer[:13] for answer in answers} == {b"HTTP/1.1 400 "}
        assert each_kib <= 64
        await site.drained()
