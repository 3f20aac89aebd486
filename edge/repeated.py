"""What the fields of a client's requests come to, worked out once for as long as the client repeats them.

On one connection most clients say the same with each request but for its target: to compare the fields with those of
the request before costs a fraction of reading them again.
"""

from __future__ import annotations

from edge.exchange import Exchange
from edge.headers import Origin, Pairs, Received, TrustedProxies, anonymous_origin_of, lasting_fields

RawFields = tuple[tuple[bytes, bytes], ...]


class RepeatedFields:
    """What one set of fields on one connection comes to: the origin of its requests, and what targets are sent.

    `origin` has "" for the identifiers that the fields do not give.
    """

    __slots__ = ("lasting", "origin", "raw")

    def __init__(self, exchange: Exchange, trusted: TrustedProxies) -> None:
        received = Received(exchange.headers, exchange.remote, exchange.scheme, exchange.host)
        self.raw: RawFields = exchange.raw_headers
        self.origin: Origin = anonymous_origin_of(received, trusted)
        self.lasting: Pairs = lasting_fields(exchange.headers, self.origin)
