"""Which bytes are whose: a request gets what is its own, and the next one what is behind it, however they come."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp.streams import StreamReader

from edge.census import ConnectionLimits
from edge.connection import ClientConnection
from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.message import ProxyResponse
from edge.server import EdgeServer
from tests.fakes.waiting import until

HEAD = b"POST /first HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n"
CRUMB = b"1\r\nx\r\n"
MANY_CRUMBS = CRUMB * 700
LAST = b"0\r\n\r\n"
TRAILERS = b"0\r\nX-One: 1\r\nCookie: theirs\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
SEED = 1


@dataclass
class Served:
    """An edge's server that answers with the length of each body, and what it was asked: paths, and field names."""

    server: EdgeServer
    port: int = 0
    received_bytes: int = 0
    asked: list[tuple[str, tuple[bytes, ...]]] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)


class CountedConnection(ClientConnection):
    __slots__ = ("served",)
    served: Served

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.served.received_bytes += len(data)


@asynccontextmanager
async def serving(limits: ConnectionLimits | None = None, *, is_free: bool = True) -> AsyncIterator[Served]:
    async def serve(connection: ClientConnection, exchange: Exchange) -> None:
        try:
            if exchange.parse_error is not None:
                raise exchange.parse_error
            served.asked.append((exchange.raw_path, tuple(name for name, _ in exchange.raw_headers)))
            length = 0
            while exchange.body_exists and (data := await exchange.content.readany()):
                length += len(data)
            await served.may_answer.wait()
            await exchange.respond(ProxyResponse.of(200, {}, b"%d" % length))
        except EdgeError as error:
            await exchange.refuse(error)

    class CountedServer(EdgeServer):
        def __call__(self) -> ClientConnection:
            connection = CountedConnection(self, loop=self._loop, **self._kwargs)
            connection.served = served
            return connection

    served = Served(CountedServer(serve, limits))
    if is_free:
        served.may_answer.set()
    listening = await asyncio.get_running_loop().create_server(served.server, "127.0.0.1", 0)
    served.port = listening.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        listening.close()
        await served.server.drain(0.1)


async def talk(served: Served, *pieces: bytes) -> bytes:
    """Send pieces, each of which is read by itself, and read until the edge closes."""
    served.asked.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        for piece in pieces:
            read_before = served.received_bytes
            writer.write(piece)
            wanted = read_before + len(piece)
            turns = 0
            while served.received_bytes < wanted and not reader.at_eof() and turns < 1000:
                await asyncio.sleep(0)
                turns += 1
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def statuses(answers: bytes) -> list[bytes]:
    return [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("end", [LAST, TRAILERS], ids=["without trailers", "with trailers"])
async def test_a_request_follows_a_chunked_one_that_was_all_there_was(end: bytes) -> None:
    async with serving() as served:
        for pieces in ((HEAD + CRUMB + end,), (HEAD, CRUMB + end), (HEAD + CRUMB, end), (HEAD, CRUMB, end)):
            answers = await talk(served, *pieces, NEXT)
            assert statuses(answers) == [b"200", b"200"]
            assert answers.count(b"Connection: close") == 1
            assert served.asked == [
                ("/first", (b"Host", b"Transfer-Encoding")),
                ("/next", (b"Host", b"Connection")),
            ]


async def test_a_hundred_chunked_requests_follow_each_other_on_one_connection() -> None:
    async with serving() as served:
        answers = await talk(served, *[HEAD, CRUMB + TRAILERS] * 100, NEXT)
    assert statuses(answers) == [b"200"] * 101
    assert {names for path, names in served.asked if path == "/first"} == {(b"Host", b"Transfer-Encoding")}


async def test_what_came_with_the_end_of_a_chunked_request_is_not_served() -> None:
    async with serving() as served:
        for end in (LAST, TRAILERS):
            for crumbs in (CRUMB, MANY_CRUMBS):
                answers = await talk(served, HEAD + crumbs + end + NEXT)
                assert (statuses(answers), len(served.asked)) == ([b"200"], 1)
                assert b"Connection: close" in answers
                assert answers.endswith(b"%d" % (len(crumbs) // len(CRUMB)))


async def test_crumbs_that_come_with_the_head_are_not_taken_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    feed_data = StreamReader.feed_data

    def counted(self: StreamReader, data: bytes, size: int = 0) -> bool:
        taken.append(len(data))
        return feed_data(self, data, size)

    monkeypatch.setattr(StreamReader, "feed_data", counted)
    async with serving() as served:
        answers = await talk(served, HEAD + MANY_CRUMBS + LAST + NEXT)
        assert answers.endswith(b"%d" % (len(MANY_CRUMBS) // len(CRUMB)))
        assert taken == []
        await talk(served, NEXT.replace(b"GET", b"PUT").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"))
        assert taken == [3]  # as anything else is


@pytest.mark.parametrize("end", [LAST, TRAILERS], ids=["without trailers", "with trailers"])
async def test_no_field_passes_to_the_next_request_wherever_the_bytes_are_split(end: bytes) -> None:
    sent = HEAD + CRUMB + end + NEXT
    boundary = len(sent) - len(NEXT)
    numbers = random.Random(SEED)
    splits: list[tuple[int, ...]] = [(at,) for at in range(1, len(sent))]
    splits += [tuple(sorted(numbers.sample(range(1, len(sent)), count))) for count in (2, 3, 4) for _ in range(100)]
    async with serving() as served:
        for split in splits:
            pieces = [sent[start:stop] for start, stop in zip((0, *split), (*split, len(sent)), strict=True)]
            answers = await talk(served, *pieces)
            is_followed = served.asked[1:] == [("/next", (b"Host", b"Connection"))]
            assert served.asked[0] == ("/first", (b"Host", b"Transfer-Encoding")), split
            assert is_followed or not served.asked[1:], split
            assert statuses(answers) == [b"200"] * (1 + is_followed), split
            assert boundary in split if is_followed else split != (boundary,), split


@pytest.mark.parametrize("max_pipelined", [1, 2, 3])
async def test_what_a_full_queue_keeps_back_is_not_taken_for_nothing(max_pipelined: int) -> None:
    """With as many requests as may wait the parser stops: what it has not read could pass for a clean end."""
    sent = HEAD + CRUMB + TRAILERS
    async with serving(ConnectionLimits(max_pipelined=max_pipelined), is_free=False) as served:
        talking = asyncio.create_task(talk(served, HEAD, sent[len(HEAD) :] + sent * 4, NEXT))
        await until(lambda: served.received_bytes >= 5 * len(sent))
        served.may_answer.set()
        answers = await talking
    assert (statuses(answers), len(served.asked)) == ([b"200"], 1)


@pytest.mark.parametrize("max_pipelined", [1, 2, 32])
async def test_chunked_requests_ahead_of_their_answers_lose_nothing_and_mix_nothing(max_pipelined: int) -> None:
    sent = HEAD + CRUMB + TRAILERS
    async with serving(ConnectionLimits(max_pipelined=max_pipelined), is_free=False) as served:
        talking = asyncio.create_task(talk(served, sent, sent, sent, NEXT))
        await until(lambda: served.received_bytes >= len(sent))
        served.may_answer.set()
        answers = await talking
    assert statuses(answers) == [b"200"] * len(served.asked)
    assert {names for _, names in served.asked} <= {(b"Host", b"Transfer-Encoding"), (b"Host", b"Connection")}


@pytest.mark.parametrize(
    "end",
    [b"0\r\nX: a\r\n0\r\n\r\n", b"0\r\nX: a\n\r\n", b"0\n\r\n\r\n", b"0\r\n\n"],
    ids=["no colon", "LF", "LF", "LF"],
)
async def test_an_end_that_is_none_is_refused(end: bytes) -> None:
    async with serving() as served:
        answers = await talk(served, HEAD, CRUMB + end, NEXT)
        assert statuses(answers) == [b"400"]
        assert len(served.asked) == 1


async def test_empty_lines_behind_a_chunked_request_are_nothing() -> None:
    async with serving() as served:
        answers = await talk(served, HEAD + CRUMB + TRAILERS + b"\r\n\r\n", NEXT)
    assert statuses(answers) == [b"200", b"200"]
    assert served.asked[1] == ("/next", (b"Host", b"Connection"))


async def test_an_answer_that_said_it_is_the_last_is_the_last_though_the_upload_ends_well() -> None:
    async def serve(connection: ClientConnection, exchange: Exchange) -> None:
        await exchange.respond(ProxyResponse.of(200, {}, b"early"))
        while await exchange.content.readany():
            pass

    server = EdgeServer(serve)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    writer.write(HEAD)
    assert b"Connection: close" in await reader.readuntil(b"early")
    writer.write(CRUMB + LAST)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    listening.close()
    await server.drain(0.1)


async def test_a_head_behind_a_full_queue_is_measured_like_any_other() -> None:
    ahead = b"GET / HTTP/1.1\r\nHost: s\r\n\r\n" * 40
    fields = b"".join(b"X-%d: %b\r\n" % (at, b"a" * 1000) for at in range(34))
    async with serving() as served:
        answers = await talk(served, ahead + b"GET / HTTP/1.1\r\nHost: s\r\nConnection: close\r\n" + fields + b"\r\n")
    assert statuses(answers) == [b"200"] * 40 + [b"431"]
