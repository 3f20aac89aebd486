"""Header fields on their way through: what stays behind at the edge, and what the edge says of its own.

Pure functions. A field that tells a target where a request came from, or who sent it, is believed only from a trusted
proxy; from anybody else it is removed. That, and framing, in the spelling with `_` too, because many servers cannot
tell the two apart.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import quote

from multidict import CIMultiDict, MultiMapping, istr

from edge.cookies import COOKIE, drop_own_cookies

HOP_BY_HOP = frozenset(
    {
        "connection",
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
"""Fields that concern one connection only (RFC 9110 section 7.6.1), lower case."""

SUBJECT = istr("X-Portico-Subject")
REQUEST_ID = istr("X-Request-ID")
TENANT = istr("X-Portico-Tenant")
ROUTE = istr("X-Portico-Route")
_FORWARDED = istr("Forwarded")
_FORWARDED_FOR = istr("X-Forwarded-For")
_FORWARDED_PROTO = istr("X-Forwarded-Proto")
_FORWARDED_HOST = istr("X-Forwarded-Host")
TRACEPARENT = istr("traceparent")
_TRACESTATE = istr("tracestate")
_CONNECTION = istr("Connection")
_HOST = istr("Host")

# `Expect` is answered by the edge, and lengths are framed anew, so neither is forwarded.
_REQUEST_DROPS = HOP_BY_HOP | {"expect", "content-length"}
_OURS = frozenset({"forwarded", "x-real-ip", "x-request-id", "traceparent", "tracestate"})
_OUR_PREFIXES = ("x-forwarded-", "x-portico-")

# RFC 9110 section 7.6.1 forbids naming an end-to-end field in `Connection`. Who does so wants a target to miss it.
_END_TO_END = frozenset(
    {
        "authorization",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "etag",
        "host",
        "location",
        "origin",
        "range",
        "retry-after",
        "set-cookie",
        "vary",
        "www-authenticate",
    }
)

_NOISE_BYTES = 24  # of one request: 16 for its trace, 8 for its span
_NOISE_AHEAD = 128
_NOISE: list[str] = []

BLANKS = " \t"
"""All that may stand around a value (RFC 9110 section 5.6.3); what else `str.strip` takes off is none to a parser."""
MAX_HOPS = 32
_UNKNOWN = "unknown"
PLAIN_OPTIONS = frozenset({"keep-alive", "Keep-Alive", "close"})
"""The values of `Connection` that name no field, as they are mostly spelt."""
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
_TRACEPARENT_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Pairs = list[tuple[str, str]]
RawFields = tuple[tuple[bytes, bytes], ...]
"""A head's fields as they came."""
Fields = MultiMapping[str] | Mapping[str, str]


class TrustedProxies:
    """The networks whose forwarding fields are believed; from nobody's by default."""

    def __init__(self, cidrs: Iterable[str] = ()) -> None:
        """Take CIDRs or single addresses; ValueError names a bad one."""
        self._networks: tuple[Network, ...] = tuple(ipaddress.ip_network(cidr) for cidr in cidrs)
        self._decide = functools.lru_cache(maxsize=4096)(self._is_within)

    def trusts(self, address: str | None) -> bool:
        """Say whether this address may speak for the client behind it."""
        return bool(self._networks) and address is not None and self._decide(address)

    def _is_within(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


TRUST_NOBODY = TrustedProxies()


class Origin(NamedTuple):
    """Where a request came from, settled once from its head.

    `client` is the address that limits count and logs name; `chain` leads from it to our peer. `host` and `scheme` are
    what the client asked for, `request_id` and `traceparent` what this request is known by downstream.
    """

    client: str
    chain: tuple[str, ...]
    scheme: str
    host: str
    request_id: str
    traceparent: str
    tracestate: str


class Received(NamedTuple):
    """The facts about a received head that `anonymous_origin_of` decides by; `peer` is the connection's other end."""

    headers: MultiMapping[str]
    peer: str | None
    scheme: str
    host: str


def new_identifiers() -> tuple[str, str]:
    """Make up a request's identifier and its `traceparent`, not sampled; random, from a supply that is drawn ahead."""
    if not _NOISE:
        drawn = os.urandom(_NOISE_BYTES * _NOISE_AHEAD).hex()
        width = 2 * _NOISE_BYTES
        _NOISE.extend(drawn[at : at + width] for at in range(0, len(drawn), width))
    noise = _NOISE.pop()
    trace_id = noise[:32]
    return trace_id, f"00-{trace_id}-{noise[32:]}-00"


def anonymous_origin_of(received: Received, trusted: TrustedProxies = TRUST_NOBODY) -> Origin:
    """Settle where a request came from by its fields alone: with "" for the identifiers that they do not give.

    From a trusted peer the client is the right-most address of `X-Forwarded-For` that is not itself trusted; what is
    left of it nobody vouches for, and is dropped. Its `X-Request-ID` and its valid `traceparent` are kept, so that its
    trace goes on. Any other peer is the client itself, and identifiers are made anew: a stranger cannot choose how
    its requests are found, or make us sample them.
    """
    headers, peer, scheme, host = received
    if peer is None or not trusted.trusts(peer):
        client = peer or _UNKNOWN
        return Origin(client, (client,), scheme, host, "", "", "")
    chain = _chain(headers, peer, trusted)
    proto = headers.get(_FORWARDED_PROTO, "").strip(BLANKS).lower()
    request_id = headers.get(REQUEST_ID, "")
    traceparent = headers.get(TRACEPARENT, "")
    is_traced = _TRACEPARENT_FORM.fullmatch(traceparent) is not None
    return Origin(
        client=chain[0],
        chain=chain,
        scheme=proto if proto in ("http", "https") else scheme,
        host=headers.get(_FORWARDED_HOST, "").strip(BLANKS) or host,
        request_id=request_id if _REQUEST_ID_FORM.fullmatch(request_id) else "",
        traceparent=traceparent if is_traced else "",
        tracestate=", ".join(headers.getall(_TRACESTATE, ())) if is_traced else "",
    )


def _chain(headers: MultiMapping[str], peer: str, trusted: TrustedProxies) -> tuple[str, ...]:
    """Walk `X-Forwarded-For` from the right while each hop is trusted; the addresses passed, the client first."""
    claimed = ",".join(headers.getall(_FORWARDED_FOR, ())).split(",")[-MAX_HOPS:]
    chain = [peer]
    while claimed and trusted.trusts(chain[0]):
        address = _address(_without_port(claimed.pop().strip(BLANKS)))
        if address is None:
            break
        chain.insert(0, str(address))
    return tuple(chain)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _without_port(node: str) -> str:
    """Drop the port that some proxies add, as in "192.0.2.1:4711" and "[2001:db8::1]:4711"."""
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


def lasting_fields(headers: MultiMapping[str], origin: Origin) -> Pairs:
    """List what every request with these fields and this origin sends, whatever its route and its identifiers.

    The client's `Host` is kept, because a tenant's application needs to know which domain it is serving.
    """
    out = strip_request_headers(headers, is_edge=True)
    fields = [
        *out.items(),
        (_FORWARDED_FOR, ", ".join(origin.chain)),
        (_FORWARDED_PROTO, origin.scheme),
        (_FORWARDED_HOST, origin.host),
        (_FORWARDED, forwarded_value(origin)),
    ]
    return [*fields, (_TRACESTATE, origin.tracestate)] if origin.tracestate else fields


def toolkit_headers(received: Received, target_host: str) -> CIMultiDict[str]:
    """Give the fields that a handler in a plain application sends: the target's `Host`, and three `X-Forwarded-*`.

    An application has no trusted proxies to know, so the peer is appended to the `X-Forwarded-For` it was given.
    """
    headers, peer, scheme, host = received
    out = strip_request_headers(headers, is_edge=False)
    out[_HOST] = target_host
    before = headers.getall(_FORWARDED_FOR, [])
    if peer:
        out[_FORWARDED_FOR] = ", ".join([*before, peer])
    out[_FORWARDED_PROTO] = scheme
    if host:
        out[_FORWARDED_HOST] = host
    return out


def strip_request_headers(headers: MultiMapping[str], *, is_edge: bool) -> CIMultiDict[str]:
    """Copy what may be forwarded, in one pass: no hop-by-hop field and no framing; at the edge none of our names.

    Nor the edge's own cookies.
    """
    verdicts = _EDGE_VERDICTS if is_edge else _TOOLKIT_VERDICTS
    kept = [(name, value) for name, value in headers.items() if verdicts[name]]
    out = CIMultiDict(kept)
    if is_edge and COOKIE in out:
        drop_own_cookies(out)
    options = headers.getall(_CONNECTION, None)
    if options is not None and (len(options) > 1 or options[0] not in PLAIN_OPTIONS):
        for name in connection_options(headers):
            out.popall(name, None)
    return out


class _Verdicts(dict[str, bool]):
    """Whether a field of this name is forwarded, remembered by the name as spelt: the same few come all day."""

    def __init__(self, forwards: Callable[[str], bool]) -> None:
        super().__init__()
        self._forwards = forwards

    def __missing__(self, name: str) -> bool:
        verdict = self._forwards(name.lower().replace("_", "-"))
        if len(self) >= _MAX_VERDICTS:
            self.clear()  # names are the client's to invent; memory is not
        self[name] = verdict
        return verdict


_MAX_VERDICTS = 2048
_EDGE_VERDICTS = _Verdicts(lambda key: key not in _REQUEST_DROPS and not is_ours(key))
_TOOLKIT_VERDICTS = _Verdicts(lambda key: key not in _REQUEST_DROPS)
_ANSWER_VERDICTS = _Verdicts(lambda key: key not in HOP_BY_HOP)


def strip_answer_headers(headers: MultiMapping[str]) -> CIMultiDict[str]:
    """Copy what may go to the client: no hop-by-hop field; `Content-Length` stays, for answers without a body."""
    out = CIMultiDict([pair for pair in headers.items() if _ANSWER_VERDICTS[pair[0]]])
    options = headers.getall(_CONNECTION, None)
    if options is not None and (len(options) > 1 or options[0] not in PLAIN_OPTIONS):
        for name in connection_options(headers):
            out.popall(name, None)
    return out


def connection_options(headers: MultiMapping[str]) -> set[str]:
    """List the fields that `Connection` takes out of the message, lower case; end-to-end fields cannot be taken out."""
    return {name.lower() for name in members_of(headers, _CONNECTION)} - _END_TO_END


def members_of(headers: MultiMapping[str], name: str) -> Iterator[str]:
    """Give the members of a field that is a list (RFC 9110 section 5.6.1), as they are spelt."""
    values = headers.getall(name, ())
    return (member for value in values for each in value.split(",") if (member := each.strip(BLANKS)))


def is_ours(key: str) -> bool:
    """Say whether a field name, lower case, is one that the edge alone may set, in either spelling."""
    if "_" in key:
        key = key.replace("_", "-")
    return key in _OURS or key.startswith(_OUR_PREFIXES)


def forwarded_value(origin: Origin) -> str:
    """Write the `Forwarded` field (RFC 7239): an element for each hop, the last with what was asked for."""
    elements = [f"for={_node(address)}" for address in origin.chain]
    host = origin.host if TOKEN.fullmatch(origin.host) else _quoted(origin.host)
    return f"{', '.join(elements)};host={host};proto={origin.scheme}"


def _node(address: str) -> str:
    return f'"[{address}]"' if ":" in address else address


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def field_value(text: str) -> str:
    """Make any text fit to be a field's value: what is not visible ASCII is percent-encoded as UTF-8."""
    if text.isascii() and text.isalnum():
        return text
    quoted = quote(text, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}%")
    inner = quoted.strip(" ")  # a field's outer blanks are no part of it, and two names must not become one
    if len(inner) == len(quoted):
        return quoted
    before = len(quoted) - len(quoted.lstrip(" "))
    return "%20" * before + inner + "%20" * (len(quoted) - len(inner) - before)
