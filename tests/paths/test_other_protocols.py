"""A switch to a protocol that is not WebSocket: what a client sends before the target has switched reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.listening import listening
from tests.fakes.verdicts import to_acme
from tests.fakes.waiting import until

HEAD = b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
EARLY = b"POST \0 before it has switched\r\n\r\n"


@dataclass
class SlowTarget:
    """A target that switches protocols when it may, and says back what it is told then."""

    port: int = 0
    may_switch: asyncio.Event = field(default_factory=asyncio.Event)
    is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.is_asked.set()
        await self.may_switch.wait()
        writer.write(SWITCH)
        while piece := await reader.read(65_536):
            writer.write(piece)


@pytest_asyncio.fixture
async def target() -> AsyncIterator[SlowTarget]:
    slow = SlowTarget()
    async with listening(slow.serve) as slow.port:
        yield slow


@pytest_asyncio.fixture
async def edge(redis_url: str, target: SlowTarget) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url) as running:
        await running.put(to_acme(f"http://127.0.0.1:{target.port}"))
        yield running


def kept_bytes(edge: RunningEdge) -> int:
    return sum(len(each._message_tail) for each in edge.worker.server.connections)


async def test_what_comes_before_the_target_has_switched_reaches_it_then(edge: RunningEdge, target: SlowTarget) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(HEAD)
    await target.is_asked.wait()
    writer.write(EARLY)
    await until(lambda: kept_bytes(edge) == len(EARLY))
    target.may_switch.set()
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    writer.write(b"and after it")
    assert await reader.readexactly(len(EARLY) + 12) == EARLY + b"and after it"
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("size", [1, 2, 3])
async def test_a_switch_may_be_asked_for_byte_by_byte_and_ends_with_its_client(
    edge: RunningEdge, target: SlowTarget, size: int
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    for at in range(0, len(HEAD), size):
        writer.write(HEAD[at : at + size])
        await asyncio.sleep(0.001)  # so that each goes alone
    await target.is_asked.wait()
    target.may_switch.set()
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("lines", [b"", b"\r\n", b"\r\n\r\n"], ids=["at once", "behind a line end", "behind two"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
async def test_what_comes_in_small_pieces_with_the_head_reaches_the_target(
    edge: RunningEdge, target: SlowTarget, size: int, lines: bytes
) -> None:
    target.may_switch.set()
    sent = lines + HEAD + EARLY
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    for at in range(0, len(sent), size):
        writer.write(sent[at : at + size])
        await asyncio.sleep(0.001)  # so that each goes alone
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    async with asyncio.timeout(5):
        assert await reader.readexactly(len(EARLY)) == EARLY
    writer.close()


async def test_much_that_comes_in_one_read_with_the_head_reaches_the_target(
    edge: RunningEdge, target: SlowTarget
) -> None:
    much = EARLY * 200
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(HEAD + much)
    target.may_switch.set()
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await reader.readexactly(len(much)) == much
    writer.close()


@pytest.mark.parametrize("size", [1, 40, len(HEAD) - 3, len(HEAD) - 1, len(HEAD), len(HEAD) + 1, len(HEAD) + 30])
async def test_what_comes_in_one_read_with_the_heads_end_reaches_the_target(
    edge: RunningEdge, target: SlowTarget, size: int
) -> None:
    target.may_switch.set()
    sent = HEAD + EARLY
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    for piece in (sent[:size], sent[size:]):
        writer.write(piece)
        await asyncio.sleep(0.02)  # so that each is a read of its own
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await reader.readexactly(len(EARLY)) == EARLY
    writer.close()


async def test_who_goes_on_talking_before_the_switch_is_not_read_without_end(
    edge: RunningEdge, target: SlowTarget
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(HEAD)
    await target.is_asked.wait()
    writer.write(b"x" * 8_000_000)
    await until(lambda: any(each._buffer_paused for each in edge.worker.server.connections))
    assert kept_bytes(edge) <= 2 * 65_536
    writer.transport.abort()
