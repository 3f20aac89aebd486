"""The head of an answer: the same whether anybody has looked at the target's fields or not."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given
from hypothesis import strategies as st

from edge.answer import Answer
from edge.answer_head import answer_head
from edge.errors import EdgeError
from edge.framing import BodyPlan, Framing, plan_answer_body
from edge.message import Body, ProxyResponse


class NoBody:
    """A body that nobody reads here."""

    known_length: int | None = None

    def whole(self) -> bytes | None:
        return b""

    async def read(self) -> bytes:
        return b""

    def abort(self) -> None:
        """Nothing to give up."""

    async def release(self) -> None:
        """Nothing to give up."""


OWN = (("X-Request-ID", "r1"), ("RateLimit", '"a";r=1;t=1'))
FIELDS = [
    b"Server: x", b"Date: d", b"Content-Type: text/plain", b"Connection: keep-alive", b"Connection: X-One, close",
    b"X-One: 1", b"X-Name: caf\xe9", b"Keep-Alive: 5", b"Keep_Alive: 5", b"X-Request-ID: theirs", b"RateLimit: theirs",
    b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"X-Empty:", b"Etag: e",
]  # fmt: skip


async def received(head: bytes, method: str = "GET") -> ProxyResponse:
    answer = Answer(BaseProtocol(asyncio.get_running_loop()), method, asks_upgrade=False)
    answer.feed(head)
    message, _, names = answer.head.result()
    body: Body = NoBody()
    return ProxyResponse.received(message, names, body)


def lines(head: bytes) -> list[bytes]:
    assert head.endswith(b"\r\n\r\n")
    first, *fields = head[:-4].split(b"\r\n")
    return [first, *sorted(field.partition(b":")[0].lower() + b":" + field.partition(b": ")[2] for field in fields)]


@given(
    fields=st.lists(st.sampled_from(FIELDS), max_size=8, unique=True),
    status=st.sampled_from([200, 204, 304, 404, 299]),
    length=st.sampled_from([None, b"5", b"0"]),
    method=st.sampled_from(["GET", "HEAD"]),
    is_http_10=st.booleans(),
)
def test_what_nobody_looks_at_goes_out_as_if_somebody_had(
    fields: list[bytes], status: int, length: bytes | None, method: str, is_http_10: bool
) -> None:
    asyncio.run(compare(fields, status, length, method, is_http_10=is_http_10))


async def compare(fields: list[bytes], status: int, length: bytes | None, method: str, *, is_http_10: bool) -> None:
    given_fields = [*fields, b"Content-Length: " + length] if length is not None else fields
    head = b"\r\n".join([b"HTTP/1.1 %d X" % status, *given_fields, b"", b""])
    known_length = None if length is None else int(length)
    plan = plan_answer_body(method, status, known_length, is_http_10=is_http_10)
    unread, read = await received(head, method), await received(head, method)
    assert read.headers is read.headers
    ours, theirs = answer_head(unread, plan, OWN), answer_head(read, plan, OWN)
    assert [line[:5] if line.startswith(b"date:") else line for line in lines(ours)] == [
        line[:5] if line.startswith(b"date:") else line for line in lines(theirs)
    ]


async def test_a_length_is_never_sent_beside_chunks() -> None:
    for plan in (BodyPlan(Framing.CHUNKED), BodyPlan(Framing.UNTIL_CLOSE)):
        response = await received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: d\r\n\r\n")
        assert b"Content-Length" not in answer_head(response, plan, ())


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: evil=1", "a\nb", "a\x00"])
async def test_what_the_edge_adds_cannot_split_an_answer(value: str) -> None:
    response = await received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: d\r\n\r\n")
    with pytest.raises(EdgeError, match="upstream_protocol"):
        answer_head(response, BodyPlan(Framing.SIZED, 0), (("X-Mine", value),))
