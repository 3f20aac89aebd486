"""What a tenant's document comes to, so that a reader can tell its own copy from the store's without fetching it.

A change is told by its revision. What is written to Redis past the commit script, by a hand or by a fault, has no
revision: only comparing finds it. Pure, no I/O.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from store.changes import Stored, readable_entries, stored_value

GONE = b""
"""The digest of a document that is not there."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A tenant's document, or PLANS', as the store has it; `revision` is that of its last change of any kind."""

    tenant: str
    revision: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Digests:
    """A page of them, the plans and then tenants in the order of their names; `cursor` fetches the next, None ends."""

    epoch: str
    items: tuple[Digest, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Past:
    """What can be fallen back on: the hosts that are the tenant's now, and its documents of before, newest first."""

    claims: frozenset[str]
    kept: tuple[Stored, ...]


def digest_of(doc_revision: int, payload: bytes) -> bytes:
    """Return what lua/digests.lua makes of the same document; it finds differences and proves nothing."""
    return hashlib.sha1(stored_value(doc_revision, payload), usedforsecurity=False).digest()


def read_digests(reply: Sequence[Any]) -> Digests:
    """Read lua/digests.lua's reply."""
    items = tuple(
        Digest(reply[at].decode(), int(reply[at + 1]), bytes.fromhex(reply[at + 2].decode()))
        for at in range(2, len(reply), 3)
    )
    return Digests(reply[0].decode(), items, items[-1].tenant if items and reply[1] == 0 else None)


def read_past(tenant: str, hosts: Iterable[bytes], entries: Iterable[bytes]) -> Past:
    """Read the tenant's claims and its history, without the entries that are damaged."""
    kept = tuple(stored for _, stored in readable_entries(tenant, entries))
    return Past(frozenset(host.decode() for host in hosts), kept)
