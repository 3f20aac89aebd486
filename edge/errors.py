"""What the edge answers of its own accord: one table of codes, one exception that carries one of them.

    EdgeError (Exception)      whose fault, which status, whether a retry is safe

Foreign exceptions (of sockets, parsers, the store) are mapped to EdgeError where they enter. A client sees the
code and the request's identifier, never the detail: that is for the log.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Fault = Literal["client", "upstream", "edge", "store"]
Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What one code means.

    `retry_safe`: the request cannot have taken effect anywhere, so it may be sent again whatever its method.
    `must_close`: the client's connection ends with the answer, because where the next request begins is in doubt.
    """

    status: int
    fault: Fault
    retry_safe: bool = False
    must_close: bool = False


_CLIENT_CLOSES: Mapping[str, int] = {
    "bad_request": 400,
    "bad_host": 400,
    "slow_request": 408,
    "body_too_large": 413,
    "uri_too_long": 414,
    "headers_too_large": 431,
    "upgrade_not_allowed": 403,
    "version_not_supported": 505,
}
_CLIENT_KEEPS: Mapping[str, int] = {
    "bad_path": 400,
    "unauthorized": 401,
    "login_failed": 403,
    "forbidden": 403,
    "no_route": 404,
    "method_not_allowed": 405,
    "expectation_failed": 417,
    "unknown_host": 421,
    "rate_limited": 429,
    "method_not_implemented": 501,
}

ERRORS: Mapping[str, ErrorKind] = MappingProxyType(
    {
        **{code: ErrorKind(status, "client", must_close=True) for code, status in _CLIENT_CLOSES.items()},
        **{code: ErrorKind(status, "client") for code, status in _CLIENT_KEEPS.items()},
        "internal": ErrorKind(500, "edge"),
        "upstream_connect": ErrorKind(502, "upstream", retry_safe=True),
        "upstream_reset": ErrorKind(502, "upstream"),
        "upstream_protocol": ErrorKind(502, "upstream"),
        "no_target": ErrorKind(503, "upstream", retry_safe=True),
        "overloaded": ErrorKind(503, "edge", retry_safe=True),
        "store_down": ErrorKind(503, "store", retry_safe=True),
        "auth_unavailable": ErrorKind(503, "upstream", retry_safe=True),
        "upstream_timeout": ErrorKind(504, "upstream"),
    }
)
"""Every code of the edge's own answers, with its meaning (RFC 9110 section 15 for the statuses)."""

# A 503 always says when to come back; this is what it says when nobody knows better.
DEFAULT_RETRY_AFTER_S = 1.0


class EdgeError(Exception):
    """A request that the edge itself answers; raised anywhere between the request's head and the answer's.

    `code` is a key of ERRORS (KeyError otherwise) and settles status, fault, retry_safe and must_close; a caller
    who knows better about the last two sets the attribute. `detail` is for the log and may hold no secret. `page` is
    what a person reads instead of the JSON, as HTML, where one asks.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        headers: Fields = (),
        retry_after_s: float | None = None,
        must_close: bool = False,
    ) -> None:
        super().__init__(code, detail)
        kind = ERRORS[code]
        self.code = code
        self.detail = detail
        self.status = kind.status
        self.fault: Fault = kind.fault
        self.retry_safe = kind.retry_safe
        self.must_close = must_close or kind.must_close
        self.headers = headers
        self.page = ""
        self.retry_after_s = DEFAULT_RETRY_AFTER_S if retry_after_s is None and kind.status == 503 else retry_after_s

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


def body_of(error: EdgeError, request_id: str) -> bytes:
    """Render what the client reads: the code and the request's identifier, and nothing about the implementation."""
    if error.page:
        return error.page.encode()
    return json.dumps({"error": error.code, "request_id": request_id}).encode()


def fields_of(error: EdgeError) -> Fields:
    """List the header fields of the answer: its type, `Retry-After` in whole seconds, and the error's own."""
    content_type = "text/html; charset=utf-8" if error.page else "application/json"
    fields: Fields = (("Content-Type", content_type), *error.headers)
    if error.retry_after_s is None:
        return fields
    return (*fields, ("Retry-After", str(max(1, math.ceil(error.retry_after_s)))))
