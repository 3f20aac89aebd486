"""What the fields of a client's requests come to, worked out once for as long as the client repeats them.

Most clients say the same with each request but for its target, on one connection or, behind another proxy, on many: to
look the fields up costs a fraction of reading them again.
"""

from __future__ import annotations

from itertools import chain

from multidict import CIMultiDict, MultiMapping

from edge.framing import serialize_fields
from edge.headers import Origin, Pairs, RawFields, Received, TrustedProxies, anonymous_origin_of, lasting_fields

MAX_BLOCKS = 4
MAX_KNOWN = 1024
MAX_KNOWN_BYTES = 4096
"""Larger sets are read anew each time: how many are known must not say how much memory they take."""


class RepeatedFields:
    """What one set of fields from one address comes to: the origin of its requests, and what targets are sent.

    `origin` has "" for the identifiers that the fields do not give.
    """

    __slots__ = ("_blocks", "origin")

    def __init__(self, received: Received, trusted: TrustedProxies) -> None:
        self.origin: Origin = anonymous_origin_of(received, trusted)
        self._blocks: dict[tuple[str, ...], bytes] = {}

    def lasting(self, received: MultiMapping[str]) -> Pairs:
        """List what targets are sent of these fields, `received`, and of where they came from."""
        return lasting_fields(received, self.origin)

    def block(self, received: MultiMapping[str], removed: tuple[str, ...]) -> bytes:
        """Write what targets are sent but for the fields removed, each with its line's end."""
        block = self._blocks.get(removed)
        if block is None:
            fields = CIMultiDict(self.lasting(received))
            for name in removed:
                fields.popall(name, None)
            if len(self._blocks) >= MAX_BLOCKS:
                self._blocks.clear()  # a client may go through all of a tenant's routes
            block = self._blocks[removed] = serialize_fields(fields)
        return block


class KnownFields:
    """The sets of fields that have come of late, a bounded number."""

    def __init__(self, trusted: TrustedProxies) -> None:
        self._trusted = trusted
        self._known: dict[tuple[RawFields, str | None, str], RepeatedFields] = {}

    def of(self, raw: RawFields, received: Received) -> RepeatedFields:
        """Give what the fields come to; `raw` are they as they came, `received` as they were read."""
        name = (raw, received.peer, received.scheme)
        repeated = self._known.get(name)
        if repeated is None:
            repeated = RepeatedFields(received, self._trusted)
            if sum(map(len, chain.from_iterable(raw))) > MAX_KNOWN_BYTES:
                return repeated
            if len(self._known) >= MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[name] = repeated
        return repeated
