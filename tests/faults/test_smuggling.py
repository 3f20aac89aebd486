"""Requests hidden in requests, between those of somebody else on the same edge and the same connection to the target.

Each round an attacker sends one of the classics and a victim asks for something of its own. Whatever the edge makes of
the attack, the victim gets its own answer, and the target never sees what was hidden as a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.fakes.edges import RunningEdge
from tests.fakes.raw_talk import HOST, LAST, Framed, get, post, request, take_message
from tests.fakes.recorder import Recorder

ROUNDS = 220
CHUNKED = b"Transfer-Encoding: chunked"
REFUSED = None

Attack = tuple[bytes, bytes | None]
"""What is sent, with %d for the round, and the body of its answer, or REFUSED."""


def hidden() -> bytes:
    return get(b"X: hidden", target=b"/hidden/%d")


def sized(*fields: bytes, body: bytes, head: bytes = b"POST /a/%d HTTP/1.1") -> bytes:
    return request(head, HOST, *fields, b"Content-Length: " + str(len(body % 1000)).encode(), body=body)


def chunked(*fields: bytes, body: bytes) -> bytes:
    return request(b"POST /a/%d HTTP/1.1", HOST, CHUNKED, *fields, body=body)


def chunk_of(data: bytes) -> bytes:
    return b"%x\r\n" % len(data % 1000) + data + b"\r\n"


def attacks() -> dict[str, Attack]:
    """The rounds are from 1000 to 9999, so that lengths hold for each."""
    inside = hidden()
    end = b"0\r\n\r\n"
    whole = chunk_of(inside) + end
    return {
        "CL.TE": (sized(CHUNKED, body=end + inside), REFUSED),
        "TE.CL": (chunked(b"Content-Length: 4", body=whole), REFUSED),
        "TE.TE, the second unknown": (post(CHUNKED, b"Transfer-encoding: cow", body=end + inside), REFUSED),
        "TE.TE, the first in quotes": (post(b'Transfer-Encoding: "chunked"', CHUNKED, body=end + inside), REFUSED),
        "TE.TE, before the colon": (sized(b"Transfer-Encoding : chunked", body=end + inside), REFUSED),
        "TE.TE, folded": (sized(b"X: x\r\n Transfer-Encoding: chunked", body=end + inside), REFUSED),
        "TE.TE, after a bare LF": (sized(b"X: x\nTransfer-Encoding: chunked", body=end + inside), REFUSED),
        "CL.TE, spelt with _": (sized(b"Transfer_Encoding: chunked", body=end + inside), end + inside),
        "TE.CL, spelt with _": (chunked(b"Content_Length: 4", body=whole), inside),
        "CL.CL": (sized(b"Content-Length: 0", body=inside), REFUSED),
        "TE.0": (request(b"OPTIONS /a/%d HTTP/1.1", HOST, CHUNKED, body=whole), inside),
        "TE.0, in HTTP/1.0": (request(b"POST /a/%d HTTP/1.0", HOST, CHUNKED, body=end + inside), REFUSED),
        "0.CL": (sized(head=b"GET /a/%d HTTP/1.1", body=inside), inside),
        "0.CL, in absolute form": (sized(head=b"GET http://shop.test/a/%d HTTP/1.1", body=inside), inside),
        "CL.0": (sized(body=inside), inside),
        "CL.0, with all ones": (post(b"Content-Length: 18446744073709551615", body=inside), REFUSED),
        "CL.0, taken out by Connection": (sized(b"Connection: Content-Length", body=inside), inside),
        "Expect": (sized(b"Expect: 100-continue", body=inside), inside),
        "Expect in a GET": (sized(b"Expect: 100-continue", head=b"GET /a/%d HTTP/1.1", body=inside), inside),
        "Expect something else": (sized(b"Expect: 100-continuE, x", body=inside), REFUSED),
        "Upgrade": (sized(b"Connection: Upgrade", b"Upgrade: websocket", body=inside), REFUSED),
        "a chunk longer than it says": (chunked(body=b"1\r\nx" + inside), REFUSED),
        "a chunk after a bare LF": (chunked(body=b"1;\nx\r\n" + end + inside), REFUSED),
    }  # fmt: skip


class Client:
    """A client that keeps its connection for as long as the edge does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()

    async def send(self, data: bytes) -> None:
        """Send on the connection there is, else on a new one."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        self._streams[1].write(data)

    async def answer(self) -> Framed:
        """Read one final answer; where it is the last, there must be nothing after it."""
        assert self._streams is not None
        reader, writer = self._streams
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100 "):
            head = await reader.readuntil(b"\r\n\r\n")
        (length,) = (line[16:] for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
        framed = take_message(head + await reader.readexactly(int(length)))
        assert framed is not None
        if b"\r\nConnection: close\r\n" in head:
            assert await reader.read() == b""
            writer.close()
            self._streams = None
        return framed

    @property
    def is_connected(self) -> bool:
        return self._streams is not None


@asynccontextmanager
async def a_client(port: int) -> AsyncIterator[Client]:
    client = Client(port)
    try:
        yield client
    finally:
        client.close()


@pytest.mark.parametrize("is_followed", [False, True], ids=["alone", "followed by a request"])
async def test_no_answer_crosses_and_nothing_hidden_is_served(
    edge: RunningEdge, recorder: Recorder, is_followed: bool
) -> None:
    async with a_client(edge.port) as attacker, a_client(edge.port) as victim:
        for number in range(1000, 1000 + ROUNDS):
            for name, (attack, hidden_body) in attacks().items():
                sent = attack.replace(b"%d", b"%d" % number)
                await attacker.send(sent + (get(target=b"/follow/%d" % number) if is_followed else b""))
                await victim.send(get(target=b"/victim/%d" % number))
                answer = await attacker.answer()
                if hidden_body is REFUSED:
                    assert answer.raw.split(b" ", 2)[1] in (b"400", b"417"), name
                    assert not attacker.is_connected, name
                else:
                    assert answer.body == b"/a/%d " % number + hidden_body.replace(b"%d", b"%d" % number), name
                    if is_followed and attacker.is_connected:
                        assert (await attacker.answer()).body == b"/follow/%d " % number, name
                assert (await victim.answer()).body == b"/victim/%d " % number, name
    assert not recorder.unreadable
    assert {seen.split(b" ", 2)[1].split(b"/")[1] for seen in recorder.requests} <= {b"a", b"victim", b"follow"}
    assert len(recorder.connections) <= 4


async def test_a_request_after_a_doubt_is_not_served_on_any_connection(edge: RunningEdge, recorder: Recorder) -> None:
    for name, (attack, hidden_body) in attacks().items():
        if hidden_body is REFUSED:
            async with a_client(edge.port) as client:
                await client.send(attack.replace(b"%d", b"1000"))
                await client.send(LAST)
                await client.answer()
                assert not client.is_connected, name
    assert not recorder.connections
