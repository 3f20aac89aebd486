"""What the edge demands of a request's head before it looks anything up; pure.

The parser has refused what is not HTTP. What it accepts and two servers could still read differently is refused here:
one `Host`, in ASCII, equal to the target's authority; HTTP/1.0 and 1.1 only; no transfer coding but `chunked`; no
length that does not fit into 63 bits; no body with an upgrade; no fragment (RFC 9110 section 7.2, RFC 9112 sections 3.2
and 6.1).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.framing import MAX_LENGTH_BYTES
from edge.headers import BLANKS
from edge.paths import normalise_path, split_target
from edge.upgrades import offered_protocols
from store.model.fields import METHODS
from store.model.hosts import normalise_host

_HTTP_VERSIONS = frozenset({(1, 0), (1, 1)})
_HTTP_10 = (1, 0)
MAX_FIELD_BYTES = 8190  # of a field's name and value together


class Target(NamedTuple):
    """What a request asks for: the host and path in their one spelling, and the query as received."""

    host: str
    path: str
    query_string: str


def read_target(exchange: Exchange) -> Target:
    """Check a head and say what it asks for; EdgeError for one that must not be served."""
    if exchange.parse_error is not None:
        raise exchange.parse_error
    if exchange.version not in _HTTP_VERSIONS:
        raise EdgeError("version_not_supported")
    if exchange.method not in METHODS:  # TRACE, CONNECT, and whatever else the parser knows
        raise EdgeError("method_not_implemented")
    if exchange.body_exists or "Transfer-Encoding" in exchange.headers:
        _check_body(exchange)
    if "Expect" in exchange.headers and exchange.version != _HTTP_10:
        _check_expectations(exchange)
    raw_target = exchange.raw_path
    if not raw_target.startswith("/"):
        _check_authority(raw_target, exchange.host)
    path, query_string = split_target(raw_target)
    if "#" in query_string:
        raise EdgeError("bad_path", "a fragment")
    return Target(_canonical_host(exchange.host), normalise_path(path), query_string)


def _check_body(exchange: Exchange) -> None:
    codings = exchange.headers.getall("Transfer-Encoding", ())
    if codings:
        if exchange.version == _HTTP_10:
            raise EdgeError("bad_request", "a transfer coding in HTTP/1.0", must_close=True)
        if len(codings) > 1 or codings[0].strip(BLANKS).lower() != "chunked":
            raise EdgeError("bad_request", "a transfer coding other than chunked", must_close=True)
    length = exchange.content_length or 0
    if length > MAX_LENGTH_BYTES:
        raise EdgeError("bad_request", "a length beyond 63 bits", must_close=True)
    if "Upgrade" in exchange.headers and (codings or length) and _offers_a_switch(exchange):
        raise EdgeError("bad_request", "an upgrade with a body", must_close=True)


def _offers_a_switch(exchange: Exchange) -> bool:
    """Say whether a protocol is offered that anybody may switch to, by whatever method; h2c may come with a body."""
    return any(offered_protocols(exchange.headers, exchange.version))


def _check_expectations(exchange: Exchange) -> None:
    """Refuse what nobody here can meet (RFC 9110 section 10.1.1); the client may be waiting for it before its body."""
    expected = exchange.headers.getall("Expect")
    if len(expected) > 1 or expected[0].strip(BLANKS).lower() != "100-continue":
        raise EdgeError("expectation_failed", must_close=True)


def _check_authority(target: str, host: str) -> None:
    """Hold an absolute-form target against `Host`: whoever believes one of them must believe the other."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise EdgeError("bad_request", "a request target that is neither a path nor an http URL", must_close=True)
    authority = rest.partition("/")[0].partition("?")[0]
    if authority.lower() != host.lower():
        raise EdgeError("bad_host", "Host differs from the request target", must_close=True)


@lru_cache(maxsize=65_536)
def _canonical_host(host: str) -> str:
    """Spell a `Host` the one way; remembered, because the same few thousand come all day and an attacker's drop out."""
    # Beyond ASCII two servers spell a name differently, and clients send its A-label (RFC 3986 section 3.2.2).
    if not host or not host.isascii() or any(c in host for c in "@/\\?# \t,*"):
        raise EdgeError("bad_host", must_close=True)
    try:
        return normalise_host(host)
    except ValueError as error:
        raise EdgeError("bad_host", must_close=True) from error


def fault_of(message: Any) -> EdgeError:
    """Say what is wrong by what the queue of messages has in place of one: aiohttp's note of it, or ours already."""
    return message if isinstance(message, EdgeError) else parse_fault(message.exc)


def parse_fault(error: BaseException) -> EdgeError:
    """Say what is wrong with a head that the parser refused; nothing of it is echoed."""
    code = "bad_request"
    if isinstance(error, LineTooLong):
        # The parser says the same of both, but not with the same bound: the line's is another than a field's.
        code = "headers_too_large" if error.args[1] == MAX_FIELD_BYTES else "uri_too_long"
    elif isinstance(error, BadHttpMessage) and "Too many headers" in error.message:
        code = "headers_too_large"
    return EdgeError(code, detail=type(error).__name__, must_close=True)
