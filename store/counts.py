"""What is counted of a tenant's limits now, for people to look at; `standing.py` says what it means.

The counts of a tenant are found by looking through the database (SCAN), a bounded part of it in one call and a bounded
number of calls for one page. What is there all the while is found, unless Redis shrinks its table between two pages;
what comes or goes meanwhile may be found, or twice.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from store import keys
from store.client import Client
from store.meter import Kept
from store.scripts import Argument, script
from store.standing import Counted, Under

KEYS_A_CALL = 1000
CALLS_A_PAGE = 50


class Wanted(NamedTuple):
    """Which counts to find; None: all of them."""

    name: str | None = None
    key: str | None = None


class Found(NamedTuple):
    """A page of counts; `cursor` says where to go on, None at the end. `now_us` is Redis' clock."""

    items: tuple[Counted, ...]
    cursor: str | None
    now_us: int


class Place(NamedTuple):
    """Where to go on: Redis' own cursor, and the last that was shown of what is found there, in order of digests."""

    scan: str = "0"
    after: str = ""

    def __str__(self) -> str:
        return f"{self.scan}.{self.after}" if self.after else self.scan


START = Place()


def read_cursor(text: str | None) -> Place:
    """Read what a page before has given; ValueError for anything else."""
    match = re.fullmatch(r"([0-9]{1,20})(?:\.([0-9a-f]{16}))?", text or "0")
    if match is None or int(match[1]) >= 2**64:
        raise ValueError("the cursor is not one that a page before has answered")
    return Place(match[1], match[2] or "")


class Counts:
    """Reads counts. Its methods may raise StoreUnavailable and StoreRefused; `client` has the role `control`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def find(self, tenant: str, wanted: Wanted, cursor: str | None, limit: int) -> Found:
        """Find up to `limit` counts, in no order; fewer, or none, where a large database is not through yet.

        ValueError for a cursor that is none.
        """
        at, now_us = read_cursor(cursor), 0
        found: dict[str, Counted] = {}
        for _ in range(CALLS_A_PAGE):
            scan, now_us, batch = await self._look(tenant, wanted, at.scan)
            more = [each for each in batch if each[0] > at.after]
            room = limit - len(found)
            found.update(more[:room])
            at = Place(at.scan, more[room - 1][0]) if len(more) > room else Place(scan)
            if at == START or at.after or len(found) >= limit:
                break
        return Found(tuple(found.values()), None if at == START else str(at), now_us)

    async def _look(self, tenant: str, wanted: Wanted, scan: str) -> tuple[str, int, list[tuple[str, Counted]]]:
        """Look at a part of the database; what is found comes in order of digests."""
        arguments: list[Argument] = [scan, pattern(tenant, wanted), KEYS_A_CALL]
        if wanted.name is not None and wanted.key is not None:
            arguments += [of(tenant, wanted.name, wanted.key) for of in (keys.limit, keys.places)]
        reply = await self._client.run(script("counts"), [keys.limits(tenant)], arguments)
        now_us = int(reply[1])
        rows = zip(reply[2::3], reply[3::3], reply[4::3], strict=True)
        read = [(blake2b(row[0], digest_size=8).hexdigest(), read_counted(*row, now_us)) for row in rows]
        return str(reply[0], "ascii"), now_us, sorted((each, one) for each, one in read if one is not None)


def pattern(tenant: str, wanted: Wanted) -> str:
    """Give the pattern that the keys of these counts match, and no other tenant's."""
    name = "*" if wanted.name is None else _literal(wanted.name)
    key = "*" if wanted.key is None else _literal(keys.plain(wanted.key))
    return f"{_literal(keys.limits(tenant))}[:/]{name}:{key}"


def _literal(text: str) -> str:
    return re.sub(r"([\\*?\[\]])", r"\\\1", text)


def read_counted(name: bytes, gone_in_ms: int, raw: bytes | list[bytes], now_us: int) -> Counted | None:
    """Read one key and what it holds; None for what nobody of ours has written."""
    named = re.fullmatch(rb"\{rl:[^{}]*\}[:/]([^:]+):(.*)", name, re.DOTALL)
    if named is None:
        return None
    value = _read_under(raw) if isinstance(raw, list) else _read_kept(raw)
    limit, key = (part.decode("ascii", "backslashreplace") for part in named.groups())
    return None if value is None else Counted(limit, key, value, gone_in_ms, now_us)


def _read_kept(raw: bytes) -> Kept | None:
    found = re.match(rb"([0-9]{1,17}) ([0-9]{1,17}) ([0-9]{1,17})(?: |$)", raw)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def _read_under(raw: Sequence[bytes]) -> Under | None:
    found = [re.fullmatch(rb"([0-9]{1,17}) ([0-9]{1,17})", each) for each in raw]
    return tuple((int(each[1]), int(each[2])) for each in found if each is not None)
