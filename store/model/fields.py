"""Names and values of header fields, query parameters and methods, as far as a tenant may use them."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]{0,4096}")
_PARAM = re.compile(r"[^\x00-\x20\x7f&=#]{1,256}")
_METHOD = re.compile(r"[A-Z][A-Z0-9-]{0,31}")


def check_field_name(name: str) -> str:
    """Give the name of a header field back (RFC 9110 section 5.1), or raise ValueError."""
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"not a header field's name: {name!r}")
    return name


def check_field_value(value: str) -> str:
    """Give the value of a header field back (RFC 9110 section 5.5), or raise ValueError."""
    if _VALUE.fullmatch(value) is None or value != value.strip():
        raise ValueError("a header field's value has no control character and no space around it")
    return value


def check_param_name(name: str) -> str:
    """Give the name of a query parameter back, or raise ValueError."""
    if _PARAM.fullmatch(name) is None:
        raise ValueError(f"not a query parameter's name: {name!r}")
    return name


def check_method(method: str) -> str:
    """Give a method back (RFC 9110 section 9), or raise ValueError; methods are case-sensitive."""
    if _METHOD.fullmatch(method) is None:
        hint = f"; did you mean {method.upper()!r}?" if _METHOD.fullmatch(method.upper()) else ""
        raise ValueError(f"not a method: {method!r}{hint}")
    if method in ("TRACE", "CONNECT"):
        raise ValueError(f"the edge does not forward {method}")
    return method


# What the edge itself says or frames; a rule for one of these would be undone or would break the message.
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_IDENTITY = frozenset({"forwarded", "traceparent", "tracestate", "x-request-id"})


def is_reserved_for_requests(name: str) -> bool:
    """Say whether only the edge may set or remove this field of a request."""
    key = name.lower().replace("_", "-")
    return key in _FRAMING or key in _IDENTITY or key.startswith(("x-portico-", "x-forwarded-"))


def is_reserved_for_answers(name: str) -> bool:
    """Say whether only the edge may set or remove this field of an answer."""
    key = name.lower().replace("_", "-")
    return key in _FRAMING or key in ("ratelimit", "ratelimit-policy", "x-request-id")
