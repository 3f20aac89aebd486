"""Which protocols a client may switch to, by the fields of its request; pure (RFC 9110 section 7.8).

What is no protocol's name is never offered to a target, nor is another version of HTTP: its requests would pass by the
edge unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from multidict import MultiMapping

from edge.headers import TOKEN, connection_options, members_of

_HTTP_11 = (1, 1)
_PROTOCOL = re.compile(f"{TOKEN.pattern}(?:/{TOKEN.pattern})?")
_HTTP_ITSELF = re.compile(r"(h[0-9]+c?(-[0-9]+)?|https?[0-9.]*|tls)(/.*)?")
_WEBSOCKET = re.compile(r"websocket(/.*)?")


def offered_protocols(headers: MultiMapping[str], version: tuple[int, int]) -> Iterator[str]:
    """Give the protocols that a client would switch to, in lower case; none in HTTP/1.0, which cannot."""
    if version < _HTTP_11 or "upgrade" not in connection_options(headers):
        return
    for member in members_of(headers, "Upgrade"):
        if _PROTOCOL.fullmatch(member) is not None and _HTTP_ITSELF.fullmatch(name := member.lower()) is None:
            yield name


def may_switch_by(method: str, protocol: str) -> bool:
    """Say whether a request by this method may switch: to WebSocket only a GET (RFC 6455 section 4.1)."""
    return method == "GET" or _WEBSOCKET.fullmatch(protocol) is None
