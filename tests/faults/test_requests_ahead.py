"""What a client sends ahead of its turn: bounded, in its order, with its deadlines, and costing nobody an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from edge.connection import ClientConnection
from edge.reads import READ_BYTES
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.listening import listening
from tests.fakes.timing import steadily
from tests.fakes.verdicts import to_acme
from tests.fakes.waiting import until

HOST = b"Host: shop.test\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
HUGE = b"GET /huge HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: %b\r\n" % (at, b"a" * 8000) for at in range(95)) + b"\r\n"
OFFERS = {
    "of another protocol": b"Connection: Upgrade\r\nUpgrade: chat\r\n",
    "of HTTP/2": b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
    "of WebSocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
}


@dataclass
class Target:
    """A target that says what it was asked for, /slow only when it may, and switches to no protocol."""

    port: int = 0
    asked: list[bytes] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1]
            self.asked.append(path)
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length: "):
                    await reader.readexactly(int(line[16:]))
                elif line == b"transfer-encoding: chunked":
                    await reader.readuntil(b"0\r\n\r\n")
            if path == b"/slow":
                await self.may_answer.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))


@pytest_asyncio.fixture
async def target() -> AsyncIterator[Target]:
    running = Target()
    async with listening(running.serve) as running.port:
        yield running


@pytest_asyncio.fixture
async def edge(redis_url: str, target: Target, request: pytest.FixtureRequest) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url, **getattr(request, "param", {})) as running:
        await running.put(to_acme(f"http://127.0.0.1:{target.port}"))
        yield running


def get(path: bytes, more: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, more)


def statuses(answers: bytes) -> list[bytes]:
    return [piece[:3] for piece in answers.split(b"HTTP/1.1 ")[1:]]


async def talk(edge: RunningEdge, *pieces: bytes) -> bytes:
    """Send each piece as a read of its own and hear all that comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.02)
    async with asyncio.timeout(10):
        answers = await reader.read()
    writer.close()
    return answers


@pytest.mark.parametrize("ahead", [HUGE * 31, HUGE[:-2], get(b"/a") * 5000], ids=["heads", "one head", "requests"])
async def test_what_comes_ahead_is_kept_as_it_came_and_no_more_than_two_reads_of_it(
    edge: RunningEdge, target: Target, ahead: bytes
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(get(b"/slow"))
    await until(lambda: target.asked)
    writer.write(ahead)
    [connection] = edge.worker.server.connections
    assert isinstance(connection, ClientConnection)
    await until(lambda: connection._buffer_paused)
    assert not connection._messages
    assert 0 < len(connection._ahead) <= 2 * READ_BYTES
    assert edge.worker.server.census.met["pipeline"] == 1
    writer.transport.abort()
    target.may_answer.set()
    await until(lambda: not edge.worker.server.connections)
    assert not connection._ahead


async def test_a_head_that_is_too_large_is_refused_when_its_turn_has_come(edge: RunningEdge, target: Target) -> None:
    target.may_answer.set()
    for pieces in ((get(b"/slow") + HUGE + LAST,), (get(b"/slow"), HUGE, LAST)):
        assert statuses(await talk(edge, *pieces)) == [b"200", b"431"]
    assert b"/huge" not in target.asked


@pytest.mark.parametrize("edge", [{"head_timeout_s": "300ms", "keepalive_timeout_s": "30s"}], indirect=True)
@pytest.mark.parametrize("is_apart", [False, True], ids=["in one piece", "in two"])
async def test_a_head_that_begins_behind_a_request_has_the_time_of_any_other(
    edge: RunningEdge, target: Target, is_apart: bool
) -> None:
    first, begun = get(b"/slow"), b"GET /x HTTP/1.1\r\nHo"
    asyncio.get_running_loop().call_later(0.1, target.may_answer.set)
    answers = await talk(edge, *((first, begun) if is_apart else (first + begun,)))
    assert statuses(answers) == [b"200", b"408"]
    assert edge.worker.server.census.met["idle"] == 0


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
async def test_an_offer_to_switch_costs_no_request_before_it_its_answer(
    edge: RunningEdge, target: Target, offer: bytes
) -> None:
    ahead = get(b"/a") + get(b"/b") + get(b"/o", offer) + get(b"/behind")
    answers = await talk(edge, ahead)
    assert statuses(answers) == [b"200"] * 3
    assert target.asked == [b"/a", b"/b", b"/o"]
    assert answers.count(b"Connection: close") == 1


@pytest.mark.parametrize("edge", [{}, {"max_pipelined": "1"}, {"max_pipelined": "2"}], indirect=True)
@pytest.mark.parametrize("count", [1, 31, 32, 40, 100])
async def test_requests_behind_an_upload_are_all_answered(edge: RunningEdge, target: Target, count: int) -> None:
    upload = b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\nabc"
    ahead = b"".join(get(b"/%d" % at) for at in range(count)) + LAST
    assert statuses(await talk(edge, upload, b"def" + ahead)) == [b"200"] * (count + 2)
    assert statuses(await talk(edge, upload + b"def", ahead)) == [b"200"] * (count + 2)
    assert statuses(await talk(edge, upload + b"def" + ahead)) == [b"200"] * (count + 2)
    assert target.asked == [b"/p", *(b"/%d" % at for at in range(count)), b"/last"] * 3


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, 1000])
async def test_bodies_and_requests_keep_their_bytes_however_they_come(
    edge: RunningEdge, target: Target, step: int
) -> None:
    upload = b"PUT /p HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n\r\n\r\nGET /"
    empty = b"POST /e HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n"
    sent = b"\r\n\r\n" + get(b"/a") + upload + b"\r\n" + empty + upload + LAST
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    for at in range(0, len(sent), step):
        writer.write(sent[at : at + step])
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        answers = await reader.read()
    assert statuses(answers) == [b"200"] * 5
    assert target.asked == [b"/a", b"/p", b"/e", b"/p", b"/last"]
    writer.close()


CHUNKED = b"POST /slow HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("behind", [get(b"/a") * 31, HUGE[:-2], b"GET / HT", b"nonsense\r\n\r\n"])
@pytest.mark.parametrize("more", [b"", get(b"/late") * 3])
async def test_nothing_is_kept_of_what_comes_with_the_end_of_a_chunked_upload(
    edge: RunningEdge, target: Target, behind: bytes, more: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(CHUNKED + b"2\r\nhi\r\n0\r\n\r\n" + behind)
    await until(lambda: target.asked)
    [connection] = edge.worker.server.connections
    assert isinstance(connection, ClientConnection)
    writer.write(more)
    await asyncio.sleep(0.05)
    assert not connection._messages
    assert not connection._ahead
    target.may_answer.set()
    async with asyncio.timeout(10):
        answers = await reader.read()
    assert (statuses(answers), answers.count(b"Connection: close")) == ([b"200"], 1)
    assert target.asked == [b"/slow"]
    writer.close()


async def test_a_client_that_leaves_with_requests_behind_its_chunked_upload_is_seen_to_go(
    edge: RunningEdge, target: Target
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(CHUNKED + b"0\r\n\r\n" + get(b"/a") * 31)
    await until(lambda: target.asked)
    writer.transport.abort()
    await until(lambda: not edge.worker.server.connections)


@pytest.mark.parametrize(
    "pieces",
    [
        (CHUNKED + b"2\r\nhi\r\n0\r\n\r\n",),
        (CHUNKED + b"2\r\nhi\r\n0\r\n", b"\r\n"),
        (CHUNKED + b"2\r\nhi\r\n0", b"\r\n\r\n"),
        (CHUNKED, b"2\r\nhi\r\n0\r", b"\n\r\n"),
    ],
)
async def test_a_request_follows_a_chunked_upload_however_its_end_was_cut(
    edge: RunningEdge, target: Target, pieces: tuple[bytes, ...]
) -> None:
    asyncio.get_running_loop().call_later(0.2, target.may_answer.set)  # an answer before would be the last
    assert statuses(await talk(edge, *pieces, LAST)) == [b"200", b"200"]
    assert target.asked == [b"/slow", b"/last"]


async def test_an_answer_arrives_whole_though_more_than_its_request_had_come(edge: RunningEdge, target: Target) -> None:
    """A close with bytes unread is a reset, which may overtake the answer."""
    target.may_answer.set()
    for more in (b"x", get(b"/a") * 3, get(b"/a") * 1500):
        assert statuses(await talk(edge, LAST + more)) == [b"200"]


@pytest.mark.parametrize("edge", [{"head_timeout_s": "200ms", "keepalive_timeout_s": "1s"}], indirect=True)
@steadily
async def test_an_empty_line_behind_a_body_begins_no_head(edge: RunningEdge, target: Target) -> None:
    target.may_answer.set()
    idle_before = edge.worker.server.census.met["idle"]
    upload = b"POST /p HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\nhi"
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    for end in (b"\r\n", b"\r\n\r\n"):
        writer.write(upload)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(end)
        await asyncio.sleep(0.4)  # longer than a head may take
    async with asyncio.timeout(10):
        answers = await reader.read()
    writer.close()
    assert b"408" not in answers
    assert edge.worker.server.census.met["idle"] == idle_before + 1


async def test_a_client_that_ends_its_side_is_gone(edge: RunningEdge, target: Target) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(get(b"/slow"))
    await until(lambda: target.asked)
    writer.write_eof()
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    await until(lambda: not edge.worker.server.connections)
    writer.close()
