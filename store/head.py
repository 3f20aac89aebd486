"""Which data the store holds, and how far it is. Pure, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from store.errors import StoreRefused


@dataclass(frozen=True)
class Head:
    """Which data this is and its last revision; an epoch of '' means that nothing was ever committed."""

    epoch: str
    revision: int


def read_head(reply: Sequence[bytes | None]) -> Head:
    """Read what `MGET epoch revision` says. Raises StoreRefused when the counter is no number."""
    epoch, revision = reply
    return Head((epoch or b"").decode(), whole_revision(revision or b"0"))


def whole_revision(text: bytes) -> int:
    """Read the revision counter. Raises StoreRefused when something has been put in its place."""
    if not text.isdigit():
        raise StoreRefused("the revision counter in Redis is not a number")
    return int(text)
