"""What the contract names and this version cannot do yet: refused by its place, never ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from store.model.faults import Found

_AUTH_TYPES = frozenset({"session"})


def unsupported(raw: Mapping[str, Any]) -> Iterator[Found]:
    """Find what a raw document asks for that comes with a later version."""
    for name, method in _parts(raw.get("auth")):
        kind = method.get("type")
        if isinstance(kind, str) and kind in _AUTH_TYPES:
            yield Found(("auth", name, "type"), f"{kind} is not supported yet")


def _parts(named: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(named, Mapping):
        for name, part in named.items():
            if isinstance(name, str) and isinstance(part, Mapping):
                yield name, part
