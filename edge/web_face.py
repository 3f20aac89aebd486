"""How a proxying handler lives in a plain `aiohttp.web.Application`: requests in, streamed answers out.

The edge itself does not use this; it has its own connections. Everything here goes through aiohttp's public face.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import struct
import sys
from types import TracebackType

from aiohttp import web
from yarl import URL

from edge.context import ProxyContext
from edge.errors import EdgeError, body_of, fields_of
from edge.headers import Received, toolkit_headers
from edge.message import ProxyRequest, ProxyResponse
from edge.paths import canonical_text, split_target

# aiohttp tells a handler of its client's going only by cancelling it, and only if the application asked for that.
CLIENT_CHECK_INTERVAL_S = 0.2

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, for no time

log = logging.getLogger("portico.edge")


def context_for(context: ProxyContext | None, request: web.Request) -> ProxyContext:
    """Make the context of one request; ValueError when the handler has none, or one without a target."""
    if context is None or context.url is None:
        raise ValueError("the handler needs a ProxyContext with a target's URL before it is called")
    path, query_string = split_target(request.raw_path)
    if not path.isascii():
        path = canonical_text(path)
    # Not request.host: without the field, that asks the machine for its own name.
    received = Received(request.headers, request.remote, request.scheme, request.headers.get("Host", ""))
    headers = toolkit_headers(received, _authority(context.url))
    ctx = context.copy_for(ProxyRequest(request, path, query_string, headers, context.url))
    ctx.match_info = request.match_info
    return ctx


def _authority(url: URL) -> str:
    """Write the target's authority as `Host` wants it: without userinfo, and without a default port."""
    return url.host_port_subcomponent or ""


async def send_answer(request: web.Request, response: ProxyResponse) -> web.StreamResponse:
    """Send an answer to the application's client, its body at the client's pace; the body is over on return.

    When the target breaks off, the client's connection is reset: it must see a broken answer, never a short one.
    """
    body = response.body
    if response.content is not None or body is None:
        response.abort()
        response.headers.popall("Content-Length", None)
        return web.Response(status=response.status, headers=response.headers, body=response.content)
    # The reason phrase is aiohttp's own for the status: a target's could split the answer.
    out = web.StreamResponse(status=response.status, headers=response.headers)
    try:
        await out.prepare(request)
        while piece := await body.read():
            await out.write(piece)
        await out.write_eof()
    except EdgeError as error:
        log.warning("the answer to %s %s broke off: %s", request.method, request.path, error)
        _reset(request.transport)
    except ConnectionError:
        pass  # the client is gone, which aiohttp finds out by itself
    finally:
        body.abort()
    return out


def _reset(transport: asyncio.Transport | None) -> None:
    """Cut a connection so that its other end knows: by an RST, because a FIN is how an HTTP/1.0 body ends well."""
    sock = None if transport is None else transport.get_extra_info("socket")
    if transport is not None and sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()


def client_is_gone() -> web.StreamResponse:
    """Make the answer for nobody: the application's log shows it, and aiohttp finds that it cannot be sent."""
    return web.Response(status=499, reason="Client Closed Request")


def http_exception(error: EdgeError, request_id: str = "") -> web.HTTPException:
    """Make the exception by which an application answers an error of ours, so that its middlewares see it as usual."""
    answer = _ANSWERS.get(error.status, web.HTTPInternalServerError)(
        text=body_of(error, request_id).decode(), content_type="application/json"
    )
    for name, value in fields_of(error):
        answer.headers[name] = value
    if error.must_close:
        answer.force_close()
    return answer


class _ContentTooLarge(web.HTTPClientError):
    """413 without the sizes that aiohttp's own wants to print."""

    status_code = 413


_ANSWERS: dict[int, type[web.HTTPException]] = {
    400: web.HTTPBadRequest,
    413: _ContentTooLarge,
    500: web.HTTPInternalServerError,
    502: web.HTTPBadGateway,
    503: web.HTTPServiceUnavailable,
    504: web.HTTPGatewayTimeout,
}


class ClientWatch:
    """Cancels what it encloses when the request's client is gone, and raises ConnectionResetError in its place."""

    __slots__ = ("_cancellations_before", "_is_gone", "_request", "_task", "_timer")

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self._is_gone = False

    def __enter__(self) -> ClientWatch:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancellations_before = task.cancelling()
        self._start_timer()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if not self._is_gone:
            return
        # The cancellation was ours; somebody else's, on top of it, goes on as one.
        is_ours_alone = self._task.uncancel() <= self._cancellations_before
        if is_ours_alone and isinstance(exc, asyncio.CancelledError):
            raise ConnectionResetError("the client is gone") from exc

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CLIENT_CHECK_INTERVAL_S, self._look)

    def _look(self) -> None:
        transport = self._request.transport
        if transport is not None and not transport.is_closing():
            self._start_timer()
            return
        self._is_gone = True
        self._task.cancel()


def mark_as_coroutine_function(handler: object) -> None:
    """Let a callable object with an async `__call__` pass for a coroutine function.

    aiohttp warns of any other handler, and wraps it.
    """
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(handler)  # type: ignore[type-var]
    else:
        handler._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
