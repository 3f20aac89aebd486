"""The two messages of a proxied request as middlewares see them: `ProxyRequest` and `ProxyResponse`.

Both are cheap to make: what most requests never need (a URL, parsed parameters, a body in memory) is made when it is
first asked for. Bodies are streams unless somebody sets `content`. Framing is the transport's: fields such as
`Content-Length` are written anew from what is really sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

from aiohttp.http_parser import RawResponseMessage
from multidict import CIMultiDict, CIMultiDictProxy, MultiDict, getversion
from yarl import URL

from edge.errors import EdgeError
from edge.fields import UnreadFields
from edge.headers import RawFields, strip_answer_headers
from edge.names import FieldNames
from edge.upgrades import may_switch_by, offered_protocols

DEFAULT_MAX_CONTENT_BYTES = 1024 * 1024
_NEVER_ENCODED = -1

Params = Mapping[str, str] | Iterable[tuple[str, str]]
Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def _version(params: MultiDict[str]) -> int:
    return getversion(params)  # type: ignore[arg-type]  # declared for values of type object only


class BodyReader(Protocol):
    """Where a request's body comes from; `aiohttp.StreamReader` is one."""

    async def readany(self) -> bytes: ...

    def is_eof(self) -> bool: ...

    def read_nowait(self, n: int = -1) -> bytes: ...


class Incoming(Protocol):
    """A received request: `aiohttp.web.Request` and the edge's own exchange both are one.

    `raw_path` is the request target as received, query included; `version` compares with a (major, minor) pair;
    `content_length` is None when the body is chunked or absent.
    """

    @property
    def method(self) -> str: ...

    @property
    def raw_path(self) -> str: ...

    @property
    def version(self) -> tuple[int, int]: ...

    @property
    def headers(self) -> CIMultiDictProxy[str]: ...

    @property
    def remote(self) -> str | None: ...

    @property
    def scheme(self) -> str: ...

    @property
    def host(self) -> str: ...

    @property
    def content(self) -> BodyReader: ...

    @property
    def body_exists(self) -> bool: ...

    @property
    def content_length(self) -> int | None: ...


class Body(Protocol):
    """The streamed body of an answer. Whoever holds it reads it to its end, aborts it, or releases it."""

    @property
    def known_length(self) -> int | None:
        """Its length in bytes where the head told it, else None."""

    def whole(self) -> bytes | None:
        """Give all of it, if all of it is here already, else None and nothing is taken."""

    async def read(self) -> bytes:
        """Wait for the next piece, b"" at the end; EdgeError when it breaks off before its end."""

    def abort(self) -> None:
        """Give up the rest and the connection it comes on; idempotent, and harmless after the end."""

    async def release(self) -> None:
        """Give up the rest in an orderly way; idempotent, and harmless after the end."""


class ProxyRequest:
    """The request that will be sent to the target; middlewares change it before it goes.

    `method`, `path` (raw, as it goes on the wire), `query_string` (raw), `headers` (without hop-by-hop fields),
    `params`, `url` and `content` may all be set. `content` None streams the incoming body; bytes replace it.
    `remote` is the client's address; `in_req` is the request as it came in.
    """

    __slots__ = (
        "_base",
        "_headers",
        "_params",
        "_params_version",
        "_query_string",
        "content",
        "in_req",
        "method",
        "path",
        "remote",
        "unread_fields",
    )

    def __init__(
        self,
        in_req: Incoming,
        path: str,
        query_string: str,
        headers: CIMultiDict[str] | UnreadFields,
        base: URL | None = None,
    ) -> None:
        """`base` is the target's URL, whose path goes before `path`; None leaves the target to the transport."""
        self.in_req = in_req
        self.method = in_req.method
        self.path = path
        self.unread_fields: UnreadFields | None = None
        """The fields as long as nobody has asked for `headers`, where they came unread; else None."""
        if isinstance(headers, UnreadFields):
            self.unread_fields = headers
        else:
            self._headers = headers
        self.content: bytes | None = None
        self.remote = in_req.remote
        self._base = base
        self._query_string = query_string
        self._params: MultiDict[str] | None = None
        self._params_version = _NEVER_ENCODED

    @property
    def headers(self) -> CIMultiDict[str]:
        """The fields for the target, without hop-by-hop ones."""
        unread = self.unread_fields
        if unread is not None:
            self._headers = unread.opened()
            self.unread_fields = None
        return self._headers

    @headers.setter
    def headers(self, headers: CIMultiDict[str]) -> None:
        self._headers, self.unread_fields = headers, None

    def remove_field(self, name: str) -> None:
        """Remove a field of the client's, without looking at the others."""
        if self.unread_fields is None:
            self._headers.popall(name, None)
        else:
            self.unread_fields.remove(name)

    @property
    def query_string(self) -> str:
        """The raw query, byte for byte as received unless `params` was changed."""
        params = self._params
        if params is not None and _version(params) != self._params_version:
            self._query_string = urlencode(list(params.items()), errors="surrogateescape")
            self._params_version = _version(params)
        return self._query_string

    @query_string.setter
    def query_string(self, value: str) -> None:
        self._query_string = value
        self._params = None

    @property
    def params(self) -> MultiDict[str]:
        """The query's parameters, repeated names and their order kept; changing them rewrites `query_string`."""
        if self._params is None:
            pairs = parse_qsl(self._query_string, keep_blank_values=True, errors="surrogateescape")
            self._params = MultiDict(pairs)
            self._params_version = _version(self._params)
        return self._params

    @params.setter
    def params(self, value: Params) -> None:
        self._params = MultiDict(value)
        self._params_version = _NEVER_ENCODED

    @property
    def url(self) -> URL:
        """The URL to be asked for, composed at each call; without a target yet, on the host the client named."""
        query = self.query_string
        target = f"{self.path}?{query}" if query else self.path
        base = self._base
        if base is None:
            return URL(f"{self.in_req.scheme}://{self.in_req.host}{target}", encoded=True)
        return URL(str(base).rstrip("/") + target, encoded=True)

    @url.setter
    def url(self, value: URL) -> None:
        """Take path and query over, and the target too where this request has one (ValueError where it has not)."""
        if value.is_absolute():
            if self._base is not None:
                self._base = value.with_path("/")
            elif value.origin() != self.url.origin():
                raise ValueError(f"the target is chosen by the route's upstream, not by a URL: {value.origin()}")
        self.path = value.raw_path
        self.query_string = value.raw_query_string

    @property
    def upgrade(self) -> str | None:
        """The protocol that the client asks to switch to, else None.

        Of several the first that may be switched to (`upgrades.py`). Any other offer is ignored, as a server may, and
        the request served as what it is.
        """
        request = self.in_req
        if "Upgrade" not in request.headers:
            return None
        offered = offered_protocols(request.headers, request.version)
        return next((each for each in offered if may_switch_by(request.method, each)), None)

    @property
    def is_upgrade(self) -> bool:
        """Whether the client asks to switch protocols."""
        return self.upgrade is not None

    async def load_content(self, max_bytes: int = DEFAULT_MAX_CONTENT_BYTES) -> bytes:
        """Read the incoming body into `content` and give it; EdgeError `body_too_large` beyond `max_bytes`."""
        if self.content is not None:
            return self.content
        if not self.in_req.body_exists:
            return b""
        pieces = bytearray()
        while piece := await self.in_req.content.readany():
            pieces += piece
            if len(pieces) > max_bytes:
                raise EdgeError("body_too_large", f"a middleware reads at most {max_bytes} bytes")
        self.content = bytes(pieces)
        return self.content


class ProxyResponse:
    """The answer on its way to the client; middlewares change it after their `yield`, or make one with `of`.

    `headers` are without hop-by-hop fields; those of a received answer are made when they are first asked for.
    `content` None streams `body`; bytes replace it. `upgraded` is the upstream connection after a 101. `in_resp` is
    the transport's own response object, where it has one.
    """

    __slots__ = ("_headers", "_names", "_received", "body", "content", "in_resp", "reason", "status", "upgraded")

    def __init__(
        self,
        status: int,
        headers: CIMultiDict[str] | None,
        body: Body | None = None,
        reason: str | None = "",
        in_resp: Any = None,
    ) -> None:
        self.status = status
        self._headers = headers
        self._received: RawResponseMessage | None = None
        self._names: FieldNames | None = None
        self.body = body
        self.reason = reason
        self.in_resp = in_resp
        self.content: bytes | None = None
        self.upgraded: object | None = None

    @classmethod
    def received(cls, message: RawResponseMessage, names: FieldNames, body: Body) -> ProxyResponse:
        """Make an answer of a head that was received and found sound."""
        response = cls(message.code, None, body, message.reason)
        response._received = message
        response._names = names
        return response

    @property
    def headers(self) -> CIMultiDict[str]:
        """The fields for the client."""
        headers = self._headers
        if headers is None:
            message = self._received
            headers = self._headers = CIMultiDict() if message is None else strip_answer_headers(message.headers)
        return headers

    @headers.setter
    def headers(self, headers: CIMultiDict[str]) -> None:
        self._headers = headers

    @property
    def unread_fields(self) -> tuple[RawFields, FieldNames] | None:
        """All the fields as they were received, as long as nobody has asked for `headers`; None after that."""
        if self._headers is not None or self._received is None or self._names is None:
            return None
        return self._received.raw_headers, self._names

    @classmethod
    def of(cls, status: int, headers: Headers | None = None, content: bytes = b"") -> ProxyResponse:
        """Make an answer of the edge's own, for a middleware that answers early."""
        response = cls(status, CIMultiDict(headers or ()))
        response.content = content
        return response

    async def load_content(self, max_bytes: int = DEFAULT_MAX_CONTENT_BYTES) -> bytes:
        """Read the body into `content` and give it, still in its Content-Encoding.

        EdgeError `upstream_protocol` beyond `max_bytes`, or whatever broke the body off.
        """
        if self.content is not None or self.body is None:
            return self.content or b""
        pieces = bytearray()
        while piece := await self.body.read():
            pieces += piece
            if len(pieces) > max_bytes:
                self.body.abort()
                raise EdgeError("upstream_protocol", f"a middleware reads at most {max_bytes} bytes of an answer")
        self.content = bytes(pieces)
        return self.content

    def abort(self) -> None:
        """Give up what has not been read of the body."""
        if self.body is not None:
            self.body.abort()
