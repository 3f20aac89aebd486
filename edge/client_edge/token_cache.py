"""Tokens that this worker has found good, so that a signature is checked once and not with each request.

They are known by a hash that is keyed with what they were judged by, so that none is good for another audience or
another tenant. What all of them take is bounded, and what those of one tenant take of it, so that no tenant pushes all
the others out.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from edge.context import Identity

MAX_TOKEN_BYTES = 64 * 1024 * 1024
TENANT_SHARE = 4


class Remembered(NamedTuple):
    """Who calls with a token, from when until when, as long as the key of this fingerprint is the issuer's."""

    identity: Identity
    begins_s: float
    ends_s: float
    fingerprint: bytes
    size_bytes: int


class TokenCache:
    """Good tokens by tenant and hash; what has not been used the longest goes first."""

    def __init__(self, max_bytes: int = MAX_TOKEN_BYTES) -> None:
        self._max_bytes = max_bytes
        self._max_tenant_bytes = max_bytes // TENANT_SHARE
        self._tenants: OrderedDict[str, _Tokens] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return sum(len(tokens.by_hash) for tokens in self._tenants.values())

    def get(self, tenant: str, token_hash: bytes) -> Remembered | None:
        """Give what is known of a token, None for one that is not."""
        tokens = self._tenants.get(tenant)
        found = None if tokens is None else tokens.by_hash.get(token_hash)
        if tokens is not None and found is not None:
            tokens.by_hash.move_to_end(token_hash)
            self._tenants.move_to_end(tenant)
        return found

    def put(self, tenant: str, token_hash: bytes, found: Remembered) -> None:
        """Remember a token; one that would take a tenant's whole share is not kept."""
        if found.size_bytes > self._max_tenant_bytes:
            return
        self.drop(tenant, token_hash)
        tokens = self._tenants.setdefault(tenant, _Tokens())
        tokens.by_hash[token_hash] = found
        tokens.bytes += found.size_bytes
        self.bytes += found.size_bytes
        self._tenants.move_to_end(tenant)
        while tokens.bytes > self._max_tenant_bytes:
            self.drop(tenant, next(iter(tokens.by_hash)))
        while self.bytes > self._max_bytes:
            idlest, its = next(iter(self._tenants.items()))
            self.drop(idlest, next(iter(its.by_hash)))

    def drop(self, tenant: str, token_hash: bytes) -> None:
        """Forget a token, if it is known."""
        tokens = self._tenants.get(tenant)
        found = None if tokens is None else tokens.by_hash.pop(token_hash, None)
        if tokens is None or found is None:
            return
        tokens.bytes -= found.size_bytes
        self.bytes -= found.size_bytes
        if not tokens.by_hash:
            del self._tenants[tenant]


class _Tokens:
    """The tokens of one tenant."""

    __slots__ = ("by_hash", "bytes")

    def __init__(self) -> None:
        self.by_hash: OrderedDict[bytes, Remembered] = OrderedDict()
        self.bytes = 0
