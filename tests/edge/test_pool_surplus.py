"""What a target says too much just where we have stopped reading: a connection that holds it is never used again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from edge.reads import READ_BYTES
from tests.edge.test_pool import OK, answering, ask, pool_to
from tests.fakes.tls import Authority, running_tls_server

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
pytestmark = pytest.mark.usefixtures("trust")


def sized(total_bytes: int) -> bytes:
    """An answer of so many bytes, its head among them."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    body = total_bytes - len(head % total_bytes)
    return (head % body).ljust(total_bytes, b"a")


def chunked(total_bytes: int) -> bytes:
    head, end = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", b"\r\n0\r\n\r\n"
    body = total_bytes - len(head % total_bytes) - len(end)
    return (head % body).ljust(total_bytes - len(end), b"a") + end


def serving(answer: bytes, ours: Authority, *, is_tls: bool) -> AbstractAsyncContextManager[int]:
    return running_tls_server(answering(answer, OK), ours.server("shop.test") if is_tls else None)


@pytest.mark.parametrize("reads", [1, 2, 3, 4, 8, 40])
@pytest.mark.parametrize("make", [sized, chunked])
@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
async def test_what_comes_behind_an_answer_where_reading_stopped_answers_nobody(
    ours: Authority, make: Callable[[int], bytes], reads: int, *, is_tls: bool
) -> None:
    answer = make(reads * READ_BYTES)
    assert len(answer) == reads * READ_BYTES
    async with serving(answer + EVIL, ours, is_tls=is_tls) as port:
        pool = pool_to(port, is_tls=is_tls)
        for _ in range(3):
            first = await pool.acquire()
            assert len(await ask(first)) > 0
            assert pool.idle_count == 0
            await asyncio.sleep(0)
        pool.close()


@pytest.mark.parametrize("make", [sized, chunked])
async def test_a_connection_is_used_again_after_a_large_answer_behind_which_nothing_came(
    ours: Authority, make: Callable[[int], bytes]
) -> None:
    async with serving(make(2 * READ_BYTES), ours, is_tls=False) as port:
        pool = pool_to(port, is_tls=False)
        connection = await pool.acquire()
        await ask(connection)
        again = await pool.acquire()
        assert again is connection
        assert await ask(again) == b"ok"
        pool.close()
