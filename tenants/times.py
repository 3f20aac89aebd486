"""Moments as people write them, pure: Unix milliseconds inside, RFC 3339 outside."""

from __future__ import annotations

from datetime import UTC, datetime


def to_rfc3339(at_ms: int) -> str:
    """Write a moment (Unix time in ms) as RFC 3339, in UTC, to the millisecond."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> int:
    """Read a moment with its offset, in ms; ValueError when it is none, or does not say its offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{text[:40]!r} is not a moment like 2030-01-31T12:00:00Z")
    return round(moment.timestamp() * 1000)
