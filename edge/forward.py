"""One request to one target: its head and body out, the head of the answer back, and the answer's body as a stream.

The upload runs beside the wait for the answer, because a target may answer before it has read everything; a body that
is already here goes out in one write with its head. `Expect` is the edge's own affair and is never forwarded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from edge.answer import UpstreamError, protocol_error
from edge.context import BodyReader, ProxyContext, ProxyRequest, ProxyResponse
from edge.errors import EdgeError
from edge.framing import LAST_CHUNK, BodyPlan, Framing, chunk, plan_request_body, serialize_head
from edge.transport import UpstreamConnection

OK, ABORTED, BROKEN = "ok", "aborted", "broken"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines of one exchange: to the head of the answer, and between bytes of a body, in seconds."""

    response_s: float
    idle_s: float


class UpstreamBody:
    """The body of a target's answer; whoever holds it reads it to the end or aborts it.

    Read to the end it gives its connection back to the pool; aborted, or broken by the target, it closes it.
    """

    __slots__ = ("_connection", "_on_done", "_payload", "_upload", "known_length", "outcome")

    def __init__(
        self,
        connection: UpstreamConnection,
        payload: StreamReader,
        upload: asyncio.Task[None] | None,
        known_length: int | None,
    ) -> None:
        self._connection = connection
        self._payload = payload
        self._upload = upload
        self._on_done: tuple[Callable[..., None], tuple[Any, ...]] | None = None
        self.known_length = known_length
        self.outcome: str | None = None

    def on_done(self, callback: Callable[..., None], *rest: Any) -> None:
        """Call `callback(outcome, *rest)`, ok, aborted or broken, once the body is over; now, if it is already.

        There is one callback; it is its setter's who holds this answer's target.
        """
        if self.outcome is None:
            self._on_done = (callback, rest)
        else:
            callback(self.outcome, *rest)

    def whole(self) -> bytes | None:
        """Give all of the body if all of it is here, else None; it is over then."""
        payload = self._payload
        if self.outcome is not None or not payload.is_eof() or payload.exception() is not None:
            return None
        if payload is EMPTY_PAYLOAD:
            data = b""
        elif (
            len(pieces := payload._buffer) == 1 and not payload._buffer_offset and not self._connection._reading_paused
        ):
            data = pieces.popleft()  # there for the taking: a third of what `read_nowait` costs
        else:
            data = payload.read_nowait(-1)
        self._end(OK)
        return data

    async def read(self) -> bytes:
        """Give the next bytes, b"" at the end; EdgeError when the target broke off."""
        if self.outcome is not None:
            return b""
        try:
            data = await self._payload.readany()
        except UpstreamError:
            self._end(BROKEN)
            raise
        except BaseException:  # the client's own doing: its upload failed, or it has gone
            self._end(ABORTED)
            raise
        if not data:
            self._end(OK)
        return data

    def abort(self) -> None:
        """Give up the rest of the body; idempotent, and harmless after the end."""
        if self.outcome is None:
            self._end(ABORTED)

    async def release(self) -> None:
        """Give up the rest of the body, as `abort` does: draining a stranger's body has no bound."""
        self._end(ABORTED)

    def _end(self, outcome: str) -> None:
        if self.outcome is not None:
            return
        self.outcome = outcome
        upload = self._upload
        if self._connection.tunnel is not None:
            pass  # the tunnel closes it, when what it has written has gone out
        elif outcome == OK and (upload is None or upload.done()):
            self._connection.finish()
        else:
            if upload is not None:
                upload.cancel()
            self._connection.abort()
        if self._on_done is not None:
            callback, rest = self._on_done
            self._on_done = None
            callback(outcome, *rest)


async def forward(connection: UpstreamConnection, ctx: ProxyContext, timeouts: Timeouts) -> ProxyResponse:
    """Send the context's request on a connection and give the answer as soon as its head is here.

    The caller owes the answer's body an end: read it out or abort it. EdgeError: `UpstreamError` when the target
    failed, or the client's own error (413, 400) when its body could not be read. The connection is closed on every
    error and on cancellation.
    """
    request = ctx.request
    upgrade = request.upgrade
    connection.begin(request.method, asks_upgrade=upgrade is not None)
    upload: asyncio.Task[None] | None = None
    try:
        upload = _send(connection, request, upgrade, timeouts)
        message, payload, names = await connection.head()
        if message.code == 101 and message.headers.get("Upgrade", "").lower() != (upgrade or "").lower():
            raise protocol_error("a switch to another protocol than was asked for")
    except BaseException:
        if upload is not None:
            upload.cancel()
        connection.abort()
        raise
    length_at = names.length_at
    known_length = None if length_at is None else int(message.raw_headers[length_at][1])
    body = UpstreamBody(connection, payload, upload, known_length)
    if message.code != 101 and not payload.is_eof():
        connection.fail_when_idle(timeouts.idle_s)
    response = ProxyResponse.received(message, names, body)
    if message.code == 101:
        response.headers["Upgrade"] = upgrade or ""
        response.upgraded = connection
    return response


def _plan(request: ProxyRequest) -> BodyPlan:
    if request.content is not None:
        return BodyPlan(Framing.SIZED, len(request.content))
    incoming = request.in_req
    return plan_request_body(
        is_chunked=incoming.body_exists and incoming.content_length is None,
        content_length=incoming.content_length,
    )


def _send(
    connection: UpstreamConnection, request: ProxyRequest, upgrade: str | None, timeouts: Timeouts
) -> asyncio.Task[None] | None:
    """Write the head and what is at hand of the body; the task returned writes the rest, if there is more."""
    plan = _plan(request)
    head = _head(request, plan, upgrade)
    body = b""
    if request.content is not None:
        body = request.content
    elif plan.framing is not Framing.NONE:
        reader = request.in_req.content
        if not (plan.framing is Framing.SIZED and reader.is_eof()):
            connection.write(head)
            return asyncio.get_running_loop().create_task(_upload(connection, reader, plan, timeouts))
        body = reader.read_nowait(-1)
    connection.write(head + body)
    connection.fail_after(timeouts.response_s)
    return None


def _head(request: ProxyRequest, plan: BodyPlan, upgrade: str | None) -> bytes:
    target = f"{request.path}?{request.query_string}" if request.query_string else request.path
    line = f"{request.method} {target} HTTP/1.1"
    unread = request.unread_fields
    if unread is not None and upgrade is None and line.isascii() and line.isprintable():
        return b"%b\r\n%b%b\r\n" % (line.encode("ascii"), unread.serialized(), _framing_field(plan))
    headers = request.headers
    headers.popall("Content-Length", None)
    headers.popall("Expect", None)
    if plan.framing is Framing.SIZED:
        headers["Content-Length"] = str(plan.length_bytes)
    elif plan.framing is Framing.CHUNKED:
        headers["Transfer-Encoding"] = "chunked"
    if upgrade is not None:
        headers["Connection"] = "Upgrade"
        headers["Upgrade"] = upgrade
    return serialize_head(line, headers)


def _framing_field(plan: BodyPlan) -> bytes:
    if plan.framing is Framing.NONE:
        return b""
    if plan.framing is Framing.SIZED:
        return b"Content-Length: %d\r\n" % plan.length_bytes
    return b"Transfer-Encoding: chunked\r\n"


async def _upload(connection: UpstreamConnection, reader: BodyReader, plan: BodyPlan, timeouts: Timeouts) -> None:
    """Pass the client's body on as it comes; the deadline for the answer runs from the body's end."""
    is_chunked = plan.framing is Framing.CHUNKED
    try:
        while data := await reader.readany():
            connection.write(chunk(data) if is_chunked else data)
            data = b""  # a target that takes nothing has it held once, by the transport
            if connection.writing_paused:
                # A target that takes nothing more has as long as one that sends nothing more.
                connection.fail_after(timeouts.idle_s)
                await connection.drain()
                connection.stop_waiting()
        if is_chunked:
            connection.write(LAST_CHUNK)
        connection.fail_after(timeouts.response_s)
    except ConnectionError:
        return  # the target is gone; whoever awaits the head, or reads the body, learns of it there
    except EdgeError as error:
        connection.fail(error)
    except Exception as error:
        connection.fail(_unreadable(error))


def _unreadable(cause: Exception) -> EdgeError:
    error = EdgeError("bad_request", detail=f"unreadable body: {type(cause).__name__}", must_close=True)
    error.__cause__ = cause
    return error
