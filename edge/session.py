"""The toolkit's way to a target: an `aiohttp.ClientSession`, both bodies streamed, nothing added, nothing decoded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientPayloadError,
    ClientResponse,
    ClientResponseError,
)

from edge.context import ProxyContext
from edge.errors import EdgeError
from edge.headers import strip_answer_headers
from edge.message import BodyReader, ProxyRequest, ProxyResponse

RESERVED_OPTIONS = ("method", "url", "headers", "params", "data")

# What aiohttp would add by itself to a request that came without them.
_AUTO_HEADERS = frozenset({"User-Agent", "Accept", "Accept-Encoding", "Content-Type"})
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class SessionTransport:
    """Sends a context's request by its session, to its URL.

    `options` are keyword arguments of `ClientSession.request`; ValueError when they name what the request itself
    says. Redirects are passed to the client, unless `max_redirects` or `allow_redirects` asks to follow them.
    """

    __slots__ = ("_options",)

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        given = dict(options or {})
        reserved = [name for name in RESERVED_OPTIONS if name in given]
        if reserved:
            raise ValueError(
                f"request_options cannot hold {', '.join(reserved)}: change the request in a middleware instead"
            )
        self._options: dict[str, Any] = {
            "allow_redirects": "max_redirects" in given,
            "auto_decompress": False,
            **given,
            "skip_auto_headers": _AUTO_HEADERS | set(given.get("skip_auto_headers") or ()),
        }

    async def send(self, ctx: ProxyContext) -> ProxyResponse:
        """Send the request and give the answer when its head is here; its body is the caller's to end.

        EdgeError 502 or 504 when the target fails; ConnectionError when the client is gone; `ClientResponseError`
        for an answer that the session refuses (unreadable, too many redirects, or its own raise_for_status).
        """
        request = ctx.request
        upload = Upload(request)
        try:
            resp = await ctx.session.request(
                request.method, request.url, headers=request.headers, data=upload.data(), **self._options
            )
        except ClientResponseError:
            raise
        except (ClientError, TimeoutError, OSError) as error:
            if upload.error is not None:
                raise _client_fault(upload.error) from error
            raise upstream_error(error) from error
        headers = strip_answer_headers(resp.headers)
        if self._options["auto_decompress"]:
            # The session decodes the body, so what these fields said of it is no longer true.
            for name in ("Content-Encoding", "Content-Length"):
                headers.popall(name, None)
        body = SessionBody(resp, _known_length(headers.get("Content-Length")))
        return ProxyResponse(resp.status, headers, body, _PHRASES.get(resp.status, ""), resp)


class Upload:
    """A request's body on its way through; `error` is what broke off its arrival from the client, if anything did."""

    __slots__ = ("_request", "error")

    def __init__(self, request: ProxyRequest) -> None:
        self._request = request
        self.error: Exception | None = None

    def data(self) -> bytes | AsyncIterator[bytes] | None:
        """Give what the session sends; sets the length that a streamed body was announced with."""
        request = self._request
        request.headers.popall("Content-Length", None)
        if request.content is not None:
            return request.content
        incoming = request.in_req
        if not incoming.body_exists:
            return None
        if incoming.content_length is not None:
            request.headers["Content-Length"] = str(incoming.content_length)
        return self._pieces(incoming.content)

    async def _pieces(self, reader: BodyReader) -> AsyncIterator[bytes]:
        try:
            while piece := await reader.readany():
                yield piece
        except Exception as error:
            self.error = error
            raise


class SessionBody:
    """The body of a `ClientResponse` as a `Body`; read at the client's pace, so memory does not grow with it."""

    __slots__ = ("_resp", "known_length")

    def __init__(self, resp: ClientResponse, known_length: int | None) -> None:
        self._resp = resp
        self.known_length = known_length

    def whole(self) -> bytes | None:
        """Give all of it if all of it is here."""
        content = self._resp.content
        if not content.is_eof() or content.exception() is not None:
            return None
        return content.read_nowait(-1)

    async def read(self) -> bytes:
        """Give the next piece, b"" at the end; EdgeError when the target breaks off or falls silent."""
        try:
            return await self._resp.content.readany()
        except (ClientError, TimeoutError, OSError) as error:
            raise upstream_error(error) from error

    def abort(self) -> None:
        """Close the connection unless the body is over."""
        self._resp.close()

    async def release(self) -> None:
        """Give the connection back if the body is over, else close it."""
        self._resp.release()


def upstream_error(error: BaseException) -> EdgeError:
    """Map what aiohttp's client raises; only a connection that never was is safe to try again with any method."""
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, asyncio.TimeoutError):
        return EdgeError("upstream_timeout", detail)
    if isinstance(error, ClientConnectorError):
        return EdgeError("upstream_connect", detail)
    if isinstance(error, ClientResponseError):
        return EdgeError("upstream_protocol", detail)
    if isinstance(error, ClientPayloadError):
        return EdgeError("upstream_reset", detail)
    return EdgeError("upstream_reset", detail)


def _client_fault(error: Exception) -> Exception:
    """Tell a client that is gone, whom nobody can answer, from one whose body cannot be read."""
    return error if isinstance(error, ConnectionError) else EdgeError("bad_request", f"unreadable body: {error}")


def _known_length(content_length: str | None) -> int | None:
    return int(content_length) if content_length is not None and content_length.isdecimal() else None
