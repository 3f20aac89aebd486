"""Which table serves a host: exact domains, then masks from the longest to the shortest, then "*".

Every look-up is one in a dictionary, so it costs the same with ten domains as with a hundred thousand. A change swaps
tables between two requests; what a running match uses is never touched.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from multidict import MultiMapping

from edge.tables import NO_HOST, Hit, Miss
from store.model.hosts import MASK_PREFIX, is_mask, normalise_host

ANY_DOMAIN = "*"


class Table(Protocol):
    """The routes of one domain: a `DomainTable`, or something that makes one when it is first asked."""

    def match(self, path: str, method: str, headers: MultiMapping[str], query_string: str) -> Hit | Miss: ...


class _Slot(NamedTuple):
    owner: str | None
    table: Table


class DomainMap:
    """Hosts and masks to tables, each with an owner; None owns what an application adds by hand."""

    def __init__(self) -> None:
        self._exact: dict[str, _Slot] = {}
        # By what follows the star: ".acme.app" for "*.acme.app", and "" for "*".
        self._masks: dict[str, _Slot] = {}
        self._domains_of: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._exact) + len(self._masks)

    def put(self, domain: str, table: Table, owner: str | None) -> None:
        """Let a table serve a domain, in its normalised spelling, whoever had it before."""
        slots, key = self._place(domain)
        slots[key] = _Slot(owner, table)

    def drop(self, domain: str, owner: str | None) -> None:
        """Serve a domain no longer, unless somebody else than this owner has it."""
        slots, key = self._place(domain)
        slot = slots.get(key)
        if slot is not None and slot.owner == owner:
            del slots[key]

    def swap(self, owner: str, tables: Mapping[str, Table]) -> None:
        """Give an owner these domains, in their normalised spelling, and no others.

        A domain that another owner has is taken over: the caller follows the order of changes, so this one is later.
        """
        for domain in self._domains_of.pop(owner, ()):
            if domain not in tables:
                self.drop(domain, owner)
        for domain, table in tables.items():
            self.put(domain, table, owner)
        if tables:
            self._domains_of[owner] = tuple(tables)

    def owner(self, domain: str) -> str | None:
        """Name the owner of a domain, in its normalised spelling; None when nobody has it."""
        slots, key = self._place(domain)
        slot = slots.get(key)
        return None if slot is None else slot.owner

    def match(self, host: str, path: str, method: str, headers: MultiMapping[str], query_string: str) -> Hit | Miss:
        """Find the route for a request to a host in its normalised spelling.

        Where a domain has no such path, the next wider one of the same owner is asked: never another owner's.
        """
        miss: Miss = NO_HOST
        owner: str | None = None
        slot = self._exact.get(host)
        if slot is not None:
            found = slot.table.match(path, method, headers, query_string)
            if isinstance(found, Hit) or found.kind == "method":
                return found
            miss, owner = found, slot.owner
        at = -1
        while self._masks:
            at = host.find(".", at + 1)
            slot = self._masks.get(host[at:] if at >= 0 else "")
            if slot is not None and (miss is NO_HOST or slot.owner == owner):
                found = slot.table.match(path, method, headers, query_string)
                if isinstance(found, Hit) or found.kind == "method":
                    return found
                miss, owner = found, slot.owner
            if at < 0:
                break
        return miss

    def _place(self, domain: str) -> tuple[dict[str, _Slot], str]:
        if is_mask(domain) or domain == ANY_DOMAIN:
            return self._masks, domain[1:]
        return self._exact, domain


def normalise_domain(text: str) -> str:
    """Spell a domain that routes are added for: a host, a mask, or "*"; ValueError for what is none of them."""
    if text == ANY_DOMAIN:
        return text
    domain = normalise_host(text)
    if "*" in domain.removeprefix(MASK_PREFIX):
        raise ValueError(f'a domain is a host, "*." before a host, or "*": {text!r}')
    return domain


@functools.lru_cache(maxsize=65_536)
def host_of(field: str) -> str:
    """Spell a request's `Host`; "" for one that is no host, which only "*" serves."""
    try:
        return normalise_host(field)
    except ValueError:
        return ""
