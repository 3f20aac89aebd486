"""Whose turn it is when many tenants want a few threads: theirs who have had least of them, measured in time.

Pure: it is told who comes, goes and has ended, and says who begins. Time counts and not turns, since a tenant says how
long each of its own takes. It is start-time fair queueing (Goyal, Vin and Cheng, 1996), charged when the time is known.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")


class Bounds(NamedTuple):
    """How many may run at once; how many may be under way, those that wait included, of a tenant and of all."""

    at_once: int
    per_tenant: int
    in_all: int


class _Share(Generic[Item]):
    """What a tenant has under way, and the time that it has had."""

    def __init__(self) -> None:
        self.waiting: deque[Item] = deque()
        self.running = 0
        self.used_s = 0.0

    @property
    def under_way(self) -> int:
        return len(self.waiting) + self.running


class Turns(Generic[Item]):
    """Queues by tenant. What `begin()` gives is owed an `end()`; items are told apart by `==`."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._shares: dict[str, _Share[Item]] = {}  # who had a turn last is last
        self._level_s = 0.0  # what those have had whose turn it is: who was away begins here, with nothing saved up

    @property
    def under_way(self) -> int:
        """How many run or wait."""
        return sum(share.under_way for share in self._shares.values())

    def come(self, tenant: str, item: Item) -> Item | None:
        """Let an item wait; returns the one that there is no place for: None, this one, or another that waited.

        When all places are taken, the newest goes of the tenant with most waiting; of several, of who had most time.
        """
        share: _Share[Item] = self._shares.get(tenant) or _Share()
        if not share.under_way:
            share.used_s = max(share.used_s, self._level_s)
        if share.under_way >= self._bounds.per_tenant:
            return item
        dropped = None
        if self.under_way >= self._bounds.in_all:
            fullest = max(self._shares.values(), key=lambda each: (len(each.waiting), each.used_s))
            if (len(fullest.waiting), fullest.used_s) <= (len(share.waiting) + 1, share.used_s):
                return item
            dropped = fullest.waiting.pop()
        self._shares[tenant] = share
        share.waiting.append(item)
        return dropped

    def begin(self) -> tuple[str, Item] | None:
        """Say who is next, and take it for running; None when nobody waits or nothing is free.

        Who has none running is before who has one: nobody has two while others wait.
        """
        waiting = [tenant for tenant, share in self._shares.items() if share.waiting]
        if not waiting or sum(share.running for share in self._shares.values()) >= self._bounds.at_once:
            return None
        tenant = min(waiting, key=lambda each: (self._shares[each].running, self._shares[each].used_s))
        share = self._shares[tenant] = self._shares.pop(tenant)
        share.running += 1
        self._level_s = max(self._level_s, share.used_s)
        return tenant, share.waiting.popleft()

    def end(self, tenant: str, took_s: float) -> None:
        """Take note that one of a tenant's has ended, and charge the time that it took."""
        share = self._shares[tenant]
        share.running -= 1
        share.used_s += took_s
        self._forget()

    def leave(self, tenant: str, item: Item) -> bool:
        """Give an item's place back if it waits; False when it does not, or no longer."""
        share = self._shares.get(tenant)
        if share is None or item not in share.waiting:
            return False
        share.waiting.remove(item)
        self._forget()
        return True

    def leave_all(self) -> list[Item]:
        """Give back the places of all that wait; returns these."""
        left = [item for share in self._shares.values() for item in share.waiting]
        for share in self._shares.values():
            share.waiting.clear()
        self._forget()
        return left

    def _forget(self) -> None:
        """Drop shares of who is away and owes nothing; of who owes, all but as many as there are places."""
        if not self.under_way:
            self._shares.clear()
            self._level_s = 0.0
        away = [tenant for tenant, share in self._shares.items() if not share.under_way]
        charged = [tenant for tenant in away if self._shares[tenant].used_s > self._level_s]
        kept = set(charged[-self._bounds.in_all :])  # those whose last turn is longest ago go first
        for tenant in away:
            if tenant not in kept:
                del self._shares[tenant]
