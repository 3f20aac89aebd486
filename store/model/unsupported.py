"""What the contract names and this version cannot do yet: refused by its place, never ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from store.model.faults import Fault

_AUTH_TYPES = frozenset({"jwt", "session", "forward", "basic"})
_LIMIT_KINDS = ("quota", "concurrent", "shadow", "cost")


def unsupported(raw: Mapping[object, object]) -> list[Fault]:
    """List what a raw document asks for that comes with a later version."""
    return [*_auth(raw.get("auth")), *_limits(raw.get("limits"))]


def _auth(auth: object) -> Iterator[Fault]:
    for name, method in _parts(auth):
        kind = method.get("type")
        if isinstance(kind, str) and kind in _AUTH_TYPES:
            yield Fault(f"auth.{name}.type", f"{kind} is not supported yet")


def _limits(limits: object) -> Iterator[Fault]:
    for name, limit in _parts(limits):
        for kind in _LIMIT_KINDS:
            if kind in limit:
                yield Fault(f"limits.{name}.{kind}", "not supported yet")


def _parts(named: object) -> Iterator[tuple[object, Mapping[object, object]]]:
    if isinstance(named, Mapping):
        for name, part in named.items():
            if isinstance(part, Mapping):
                yield name, part
