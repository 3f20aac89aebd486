"""What the names of an answer's fields say, before any value is looked at: worked out once for each list of names.

A target's answers name the same fields in the same order all day, so that a request looks up what the first one found.
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import NamedTuple

from edge.headers import HOP_BY_HOP, RawFields

MAX_KNOWN = 2048
MAX_KNOWN_BYTES = 2048
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME = itemgetter(0)


class FieldNames(NamedTuple):
    """The facts. Positions are of the only field of that name, None without one."""

    fault: str | None
    """Why no answer may name these (RFC 9112 section 6.3, RFC 9110 section 5.6.2), None when it may."""
    length_at: int | None
    coding_at: int | None
    connection_at: int | None
    keeps: tuple[bool, ...] | None
    """Which of them go to the client, None for all."""
    kept: frozenset[bytes]
    """Those that do, in lower case."""
    is_plain: bool
    """Whether `keeps` is all there is to say: no `Connection` is repeated."""


def names_of(raw: RawFields) -> FieldNames:
    """Give what is known of the names of these fields."""
    return _KNOWN[tuple(map(_NAME, raw))]


class _Known(dict[tuple[bytes, ...], FieldNames]):
    def __missing__(self, names: tuple[bytes, ...]) -> FieldNames:
        known = read_names(names)
        if sum(map(len, names)) <= MAX_KNOWN_BYTES:  # names are the target's to invent; memory is not
            if len(self) >= MAX_KNOWN:
                self.clear()
            self[names] = known
        return known


_KNOWN = _Known()


def read_names(names: tuple[bytes, ...]) -> FieldNames:
    """Work the facts out."""
    lower = [name.lower() for name in names]
    keeps = tuple(name.decode("latin-1").replace("_", "-") not in HOP_BY_HOP for name in lower)
    connections = lower.count(b"connection")
    return FieldNames(
        fault=_fault(names, lower),
        length_at=_only(lower, b"content-length"),
        coding_at=_only(lower, b"transfer-encoding"),
        connection_at=_only(lower, b"connection"),
        keeps=None if all(keeps) else keeps,
        kept=frozenset(name for name, is_kept in zip(lower, keeps, strict=True) if is_kept),
        is_plain=connections <= 1,
    )


def _fault(names: tuple[bytes, ...], lower: list[bytes]) -> str | None:
    lengths, codings = lower.count(b"content-length"), lower.count(b"transfer-encoding")
    if lengths > 1 or (lengths and codings):
        return "more than one body length"
    if codings > 1:
        return "unknown transfer coding"
    if not all(_TOKEN.fullmatch(name) for name in names):
        return "a field name that is none"
    return None


def _only(lower: list[bytes], name: bytes) -> int | None:
    return lower.index(name) if lower.count(name) == 1 else None
