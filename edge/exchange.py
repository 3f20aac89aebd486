"""One request on a client's connection, and the writing of its one answer.

An answer's head and a body that is already here go out in one write; a body still arriving is passed on piece by
piece, at the client's pace. Once the head is out there is no second answer: what breaks after that cuts the
connection, so that a client sees a broken answer and never a short one (RFC 9112 section 8).
"""

from __future__ import annotations

from typing import Protocol

from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import HttpVersion, HttpVersion10
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from edge.answer_head import answer_head
from edge.errors import EdgeError, Fields, body_of, fields_of
from edge.framing import LAST_CHUNK, BodyPlan, Framing, chunk, length_of, plan_answer_body, serialize_head
from edge.headers import REQUEST_ID
from edge.message import BodyReader, ProxyResponse

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_REQUEST_ID = ""
_CLOSE = ("Connection", "close")
_KEEP_ALIVE = ("Connection", "keep-alive")


class AnswerSink(Protocol):
    """What an exchange needs of the client's connection."""

    peer: str | None
    scheme: str

    @property
    def writing_paused(self) -> bool:
        """Whether `drain` would wait."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def abort(self) -> None: ...


class Exchange:
    """A parsed request head with its body's reader, and `respond` or `refuse` for its answer, once.

    Satisfies `edge.context.Incoming`. `status` and the byte counts are what was really sent and received.
    """

    __slots__ = (
        "_payload",
        "_sink",
        "body_exists",
        "bytes_sent",
        "content",
        "content_length",
        "headers",
        "host",
        "is_keep_alive",
        "method",
        "parse_error",
        "raw_headers",
        "raw_path",
        "remote",
        "request_id",
        "scheme",
        "status",
        "version",
    )

    def __init__(self, sink: AnswerSink, message: RawRequestMessage, payload: StreamReader) -> None:
        self._sink = sink
        self._payload = payload
        self.method: str = message.method
        self.raw_path: str = message.path
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        self.version: HttpVersion = message.version
        self.headers: CIMultiDictProxy[str] = message.headers
        self.host: str = message.headers.get("Host", "")
        self.remote = sink.peer
        self.scheme = sink.scheme
        # What follows an offer to switch protocols may be in another one already, whatever becomes of the offer.
        self.is_keep_alive = not (message.should_close or message.upgrade)
        self.parse_error: EdgeError | None = None
        self.request_id = _NO_REQUEST_ID
        self.status = 0
        self.bytes_sent = 0
        length = self.headers.get("Content-Length")  # "0" counts: it is forwarded as it is
        self.content_length = None if length is None else length_of(length)
        self.body_exists = payload is not EMPTY_PAYLOAD or length is not None
        self.content: BodyReader = payload
        expected = "" if payload is EMPTY_PAYLOAD else self.headers.get("Expect", "")
        if expected.lower() == "100-continue" and not self._is_http_10:  # RFC 9110 section 10.1.1
            self.content = ContinueReader(self, payload)

    @property
    def is_started(self) -> bool:
        """Whether the head of an answer has gone out."""
        return self.status != 0

    @property
    def bytes_received(self) -> int:
        """How many bytes of the request's body have been taken from the wire."""
        return self._payload.total_bytes

    async def respond(self, response: ProxyResponse, added: Fields = ()) -> None:
        """Send an answer, with fields of the edge's own.

        EdgeError when the target breaks off, `ConnectionError` when the client is gone.
        The answer's body is over when this returns or raises.
        """
        body = response.body
        try:
            data = response.content
            if data is None:
                data = b"" if body is None else body.whole()
            length = len(data) if data is not None else body.known_length if body is not None else None
            plan = plan_answer_body(self.method, response.status, length, is_http_10=self._is_http_10)
            head = self._answer_head(response, plan, added)
            if data is None and plan.framing is not Framing.NONE:
                await self._stream(head, response, plan)
            else:
                self._write(head + data if data and plan.framing is not Framing.NONE else head)
                if self._sink.writing_paused:
                    await self._sink.drain()
        finally:
            if body is not None:
                body.abort()

    async def refuse(self, error: EdgeError, added: Fields = ()) -> None:
        """Send the edge's own answer to an error; when an answer is already under way, cut the connection."""
        if self.is_started:
            self._sink.abort()
            return
        if error.must_close:
            self.is_keep_alive = False
        answer = ProxyResponse.of(error.status, fields_of(error), body_of(error, self.request_id))
        await self.respond(answer, added)

    def switch_protocols(self, response: ProxyResponse, added: Fields = ()) -> None:
        """Send the head of a target's 101; the connection is a tunnel from here on."""
        self.is_keep_alive = False
        headers = response.headers
        headers.popall("Content-Length", None)  # RFC 9110 section 8.6: none with a 1xx
        headers.update(((REQUEST_ID, self.request_id), *added, ("Connection", "Upgrade")))
        head = serialize_head("HTTP/1.1 101 Switching Protocols", headers)
        self.status = response.status
        self._write(head)

    def send_continue(self) -> None:
        """Tell a client that waits for it to send its body (RFC 9110 section 10.1.1)."""
        if not self.is_started:
            self._sink.write(_CONTINUE)

    @property
    def _is_http_10(self) -> bool:
        return self.version <= HttpVersion10

    async def _stream(self, head: bytes, response: ProxyResponse, plan: BodyPlan) -> None:
        """Pass the body on as it comes, its head with the first piece, never holding more than one piece."""
        body = response.body
        assert body is not None
        is_chunked = plan.framing is Framing.CHUNKED
        self._write(head)
        while data := await body.read():
            self._write(chunk(data) if is_chunked else data)
            await self._sink.drain()
        if is_chunked:
            self._write(LAST_CHUNK)

    def _write(self, data: bytes) -> None:
        self.bytes_sent += len(data)
        self._sink.write(data)

    def _answer_head(self, response: ProxyResponse, plan: BodyPlan, added: Fields) -> bytes:
        """Frame the answer anew, whatever lengths and connection options came with it."""
        if plan.framing is Framing.UNTIL_CLOSE or not self._payload.is_eof():
            # A body that has not been read by now would be taken for the next request.
            self.is_keep_alive = False
        own = (("X-Request-ID", self.request_id), *added) if self.request_id else added
        if not self.is_keep_alive:
            own = (*own, _CLOSE)
        elif self._is_http_10:
            own = (*own, _KEEP_ALIVE)
        head = answer_head(response, plan, own)
        self.status = response.status
        return head


_UNREADABLE = RawRequestMessage(
    method="UNKNOWN",
    path="/",
    version=HttpVersion10,
    headers=CIMultiDictProxy(CIMultiDict()),
    raw_headers=(),
    should_close=True,
    compression=None,
    upgrade=False,
    chunked=False,
    url=URL("/"),
)


def unreadable(sink: AnswerSink, error: EdgeError) -> Exchange:
    """Make the exchange of a head that could not be read; it wants nothing but this answer."""
    exchange = Exchange(sink, _UNREADABLE, EMPTY_PAYLOAD)
    exchange.parse_error = error
    return exchange


class ContinueReader:
    """A request's body whose client waits for 100 Continue; the first read sends it."""

    __slots__ = ("_exchange", "_payload")

    def __init__(self, exchange: Exchange, payload: StreamReader) -> None:
        self._exchange: Exchange | None = exchange
        self._payload = payload

    async def readany(self) -> bytes:
        """Give what is there of the body, b"" at the end."""
        if self._exchange is not None:
            if not self._payload.total_bytes and not self._payload.is_eof():
                self._exchange.send_continue()
            self._exchange = None
        return await self._payload.readany()

    def is_eof(self) -> bool:
        """Say whether the whole body is here."""
        return self._payload.is_eof()

    def read_nowait(self, n: int = -1) -> bytes:
        """Give what is there without waiting."""
        return self._payload.read_nowait(n)
