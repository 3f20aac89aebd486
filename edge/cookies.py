"""Cookies of the edge's own: read here, and never passed on to a target, whatever the route. Pure functions.

Their names begin with `__Host-portico`, so that a browser takes them from nobody but the host itself, by a safe way,
for all of its paths (RFC 6265bis section 4.1.3.2). The other cookies of a request stay as they are, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from multidict import CIMultiDict, MultiMapping, istr

COOKIE = istr("Cookie")
SET_COOKIE = "Set-Cookie"
OWN_PREFIX = "__Host-portico"
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"


def own_cookies(headers: MultiMapping[str]) -> dict[str, str]:
    """Give the edge's cookies of a request by their names; of one that is sent twice the first counts."""
    found: dict[str, str] = {}
    for pair in ";".join(value for value in headers.getall(COOKIE, ()) if OWN_PREFIX in value).split(";"):
        name, _, content = pair.partition("=")
        if _is_own(name):
            found.setdefault(name.strip(" \t"), content.strip(" \t"))
    return found


def drop_own_cookies(fields: CIMultiDict[str]) -> None:
    """Take the edge's cookies out of the fields for a target."""
    values = fields.getall(COOKIE, [])
    if not any(OWN_PREFIX in value for value in values):
        return
    del fields[COOKIE]
    fields.extend((COOKIE, kept) for kept in _kept(values))


def _kept(values: list[str]) -> Iterator[str]:
    for value in values:
        pairs = value.split(";")
        others = [pair for pair in pairs if not _is_own(pair.partition("=")[0])]
        kept = value if len(others) == len(pairs) else ";".join(others).lstrip(" \t")
        if kept:
            yield kept


def _is_own(name: str) -> bool:
    return name.strip(" \t").startswith(OWN_PREFIX)


def cookie_set(name: str, value: str, max_age_s: int | None = None) -> str:
    """Write `Set-Cookie` for a cookie that goes with the browser's window, or after so many seconds."""
    age = "" if max_age_s is None else f"; Max-Age={max_age_s}"
    return f"{name}={quote(value, safe='')}{age}; {_ATTRIBUTES}"


def cookie_dropped(name: str) -> str:
    """Write `Set-Cookie` that makes a browser forget a cookie: without the same attributes it would not."""
    return f"{name}=; Max-Age=0; {_ATTRIBUTES}"
