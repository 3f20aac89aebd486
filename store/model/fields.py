"""Names and values of header fields, query parameters and methods, as far as a tenant may use them."""

from __future__ import annotations

import re

from store.model.faults import did_you_mean, shown

MAX_VALUE_LENGTH = 4096
MAX_CLAIM_LENGTH = 128
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TERMINAL_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PARAM = re.compile(r"[^\x00-\x20\x7f&=#]{1,256}")
SCOPE_FORM = r"^[!#-\[\]-~]{1,128}$"
_SCOPE = re.compile(SCOPE_FORM)
_METHOD = re.compile(r"[A-Z][A-Z0-9-]{0,31}")


def check_field_name(name: str) -> str:
    """Give the name of a header field back (RFC 9110 section 5.1), or raise ValueError."""
    if _TOKEN.fullmatch(name) is None:
        raise ValueError(f"not a header field's name: {shown(name)}")
    return name


def check_field_value(value: str) -> str:
    """Give the value of a header field back (RFC 9110 section 5.5), or raise ValueError.

    The message never repeats the value: it may be a password.
    """
    if len(value) > MAX_VALUE_LENGTH:
        raise ValueError(f"a header field's value is at most {MAX_VALUE_LENGTH} characters long")
    if _CONTROL.search(value) is not None:
        raise ValueError("a header field's value has no line break and no other control character")
    if value != value.strip(" \t"):
        raise ValueError("a header field's value has no space around it")
    return value


def check_param_name(name: str) -> str:
    """Give the name of a query parameter back, or raise ValueError."""
    if _PARAM.fullmatch(name) is None:
        raise ValueError(f"not a query parameter's name: {shown(name)}")
    return name


def check_line(text: str) -> str:
    """Give a text back that no terminal takes for a command or a new line, or raise ValueError."""
    if _TERMINAL_CONTROL.search(text) is not None:
        raise ValueError("has a line break or another control character")
    return text


def check_claim(name: str) -> str:
    """Give the name of a claim back (RFC 7519 section 4), or raise ValueError."""
    if not 1 <= len(name) <= MAX_CLAIM_LENGTH:
        raise ValueError(f"a claim's name is 1 to {MAX_CLAIM_LENGTH} characters long")
    return check_line(name)


def check_scope(scope: str) -> str:
    """Give a scope back (RFC 6749 section 3.3), or raise ValueError; one rule for what is asked for and what is had."""
    if _SCOPE.fullmatch(scope) is None:
        raise ValueError("a scope is 1 to 128 characters of ASCII, with no space, quote or backslash")
    return scope


# What the edge's parser (llhttp) takes of the methods that are forwarded; any other is a 400 before it is routed.
METHODS = frozenset(
    [
        "ACL",
        "BIND",
        "CHECKOUT",
        "COPY",
        "DELETE",
        "GET",
        "HEAD",
        "LINK",
        "LOCK",
        "M-SEARCH",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKCOL",
        "MOVE",
        "NOTIFY",
        "OPTIONS",
        "PATCH",
        "POST",
        "PROPFIND",
        "PROPPATCH",
        "PURGE",
        "PUT",
        "QUERY",
        "REBIND",
        "REPORT",
        "SEARCH",
        "SOURCE",
        "SUBSCRIBE",
        "UNBIND",
        "UNLINK",
        "UNLOCK",
        "UNSUBSCRIBE",
    ]
)


def check_method(method: str) -> str:
    """Give a method back (RFC 9110 section 9), or raise ValueError; methods are case-sensitive."""
    if _METHOD.fullmatch(method) is None:
        hint = f"; did you mean {method.upper()!r}?" if _METHOD.fullmatch(method.upper()) else ""
        raise ValueError(f"not a method: {shown(method)}{hint}")
    if method in ("TRACE", "CONNECT"):
        raise ValueError(f"the edge does not forward {method}")
    if method not in METHODS:
        raise ValueError(f"the edge does not take {shown(method)}{did_you_mean(method, METHODS)}")
    return method


# What frames a message or concerns one connection (RFC 9110 section 7.6.1): a rule for one of these would be undone on
# the way, or would break the message.
_FRAMING = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What the edge says of a request, and of its answer.
_OF_REQUESTS = frozenset({"forwarded", "traceparent", "tracestate", "x-request-id"})
_OF_ANSWERS = frozenset({"ratelimit", "ratelimit-policy", "x-request-id"})
# What clients and browsers write by rules of their own, or what says how a body or a cookie is to be read.
_OF_CLIENTS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-encoding",
        "content-language",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "max-forwards",
        "origin",
        "pragma",
        "range",
        "via",
    }
)


def is_of_one_message(name: str) -> bool:
    """Say whether this field frames a message or concerns one connection, and so is never passed on."""
    return _folded(name) in _FRAMING


def can_carry_credential(name: str) -> bool:
    """Say whether a key or a token can come in this field of a request, which goes no further then."""
    key = _folded(name)
    return not (is_reserved_for_requests(name) or key in _OF_CLIENTS or key.startswith("sec-"))


def is_reserved_for_requests(name: str) -> bool:
    """Say whether only the edge may set or remove this field of a request."""
    key = _folded(name)
    return key in _FRAMING or key in _OF_REQUESTS or key.startswith(("x-portico-", "x-forwarded-"))


def is_reserved_for_answers(name: str) -> bool:
    """Say whether only the edge may set or remove this field of an answer."""
    key = _folded(name)
    return key in _FRAMING or key in _OF_ANSWERS


def _folded(name: str) -> str:
    """Spell a name as the most careless server reads it: many take "_" for "-"."""
    return name.lower().replace("_", "-")
