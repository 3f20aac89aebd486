"""The fakes themselves: an evil origin kinder than its script would hide what it is there to find."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.fakes.origins import (
    CLOSE,
    HANG,
    READ_ALL,
    READ_HEAD,
    RESET,
    Drip,
    Read,
    Send,
    Wait,
    refusing_port,
    running_evil_origin,
)

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_a_reset_is_a_reset() -> None:
    async with running_evil_origin(READ_HEAD, RESET) as evil:
        reader, writer = await asyncio.open_connection("127.0.0.1", evil.port)
        writer.write(HEAD)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_close_is_an_end_of_file_after_what_was_sent() -> None:
    async with running_evil_origin(READ_HEAD, Send(b"abc"), CLOSE) as evil:
        reader, writer = await asyncio.open_connection("127.0.0.1", evil.port)
        writer.write(HEAD)
        assert await reader.read() == b"abc"
        writer.close()
        assert (await evil.connected(1)).received == HEAD


async def test_a_drip_comes_in_pieces() -> None:
    async with running_evil_origin(Drip(b"abcdef", 0.005, step=2)) as evil:
        reader, writer = await asyncio.open_connection("127.0.0.1", evil.port)
        assert await reader.read(100) == b"ab"
        assert await reader.read() == b"cdef"
        writer.close()


async def test_a_later_connection_may_follow_another_script() -> None:
    async with running_evil_origin(Send(b"first"), then=[Send(b"second")]) as evil:
        for expected in (b"first", b"second", b"second"):
            reader, writer = await asyncio.open_connection("127.0.0.1", evil.port)
            assert await reader.read() == expected
            writer.close()
        assert len(evil.connections) == 3


async def test_it_waits_for_the_test_and_then_reads_what_is_left() -> None:
    go = asyncio.Event()
    async with running_evil_origin(READ_HEAD, Wait(go), Read(3), READ_ALL) as evil:
        reader, writer = await asyncio.open_connection("127.0.0.1", evil.port)
        writer.write(HEAD + b"12345")
        connection = await evil.connected(1)
        assert not connection.over.is_set()
        go.set()
        writer.write_eof()
        await connection.over.wait()
        assert connection.received == HEAD + b"12345"
        assert await reader.read() == b""
        writer.close()


async def test_one_that_hangs_does_not_hold_up_the_end_of_a_test() -> None:
    async with running_evil_origin(HANG) as evil:
        _, writer = await asyncio.open_connection("127.0.0.1", evil.port)
        await evil.connected(1)
    writer.close()


def test_a_refusing_port_refuses() -> None:
    with refusing_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
