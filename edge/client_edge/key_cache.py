"""API keys that this worker has seen, so that a known caller costs no look-up and outlives the store.

A tenant's keys are forgotten the moment the feed tells that they changed, so a revoked key ends with the revision that
revoked it. What is not known is asked for once, however many requests wait for it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from store.secrets import ApiKeyRecord

Lookup = Callable[[str, str], Awaitable[ApiKeyRecord | None]]
Slot = tuple[int, ApiKeyRecord | None]

MAX_KNOWN = 100_000
MAX_UNKNOWN = 10_000


class KeyCache:
    """The records of keys by tenant and id, with those known not to exist.

    `lookup` asks the store (StoreError when it cannot); both kinds are bounded, each by itself, so that guesses cannot
    push real callers out. Without `is_believed` the store is followed no more: who was none of its keys may be one now.
    """

    def __init__(
        self,
        lookup: Lookup,
        is_believed: Callable[[], bool] = lambda: True,
        *,
        max_known: int = MAX_KNOWN,
        max_unknown: int = MAX_UNKNOWN,
    ) -> None:
        self._lookup = lookup
        self._is_believed = is_believed
        self._known = _Recent(max_known)
        self._unknown = _Recent(max_unknown)
        self._generations: dict[str, int] = {}
        self._asked: dict[tuple[str, str], asyncio.Task[ApiKeyRecord | None]] = {}

    def known(self, tenant: str, key_id: str) -> ApiKeyRecord | None:
        """Give the record of a key that is known here, None for any other."""
        slot = self._known.get((tenant, key_id))
        return slot[1] if slot is not None and slot[0] == self._generations.get(tenant, 0) else None

    async def get(self, tenant: str, key_id: str) -> ApiKeyRecord | None:
        """Give the record of a key, None when the tenant has no such key; StoreError when nobody can tell."""
        name = (tenant, key_id)
        generation = self._generations.get(tenant, 0)
        slot = self._known.get(name) or (self._unknown.get(name) if self._is_believed() else None)
        if slot is not None and slot[0] == generation:
            return slot[1]
        task = self._asked.get(name)
        if task is None:
            task = self._asked[name] = asyncio.create_task(self._ask(name, generation))
            task.add_done_callback(lambda done: self._answered(name, done))
        return await asyncio.shield(task)  # one waiter's client may go; the others still wait

    def forget(self, tenant: str) -> None:
        """Ask again for every key of this tenant: one of them was made or revoked."""
        self._generations[tenant] = self._generations.get(tenant, 0) + 1
        for name in [name for name in self._asked if name[0] == tenant]:
            del self._asked[name]  # it may have been read before the change: let nobody new wait for it

    async def _ask(self, name: tuple[str, str], generation: int) -> ApiKeyRecord | None:
        record = await self._lookup(*name)
        if self._generations.get(name[0], 0) == generation:
            right, wrong = (self._unknown, self._known) if record is None else (self._known, self._unknown)
            right.put(name, (generation, record))
            wrong.drop(name)  # what it says is out of date, and would hide this
        return record

    def _answered(self, name: tuple[str, str], task: asyncio.Task[ApiKeyRecord | None]) -> None:
        if self._asked.get(name) is task:
            del self._asked[name]
        if not task.cancelled():
            task.exception()  # its waiters have it; without one, nobody needs to hear of it


class _Recent:
    """A bounded mapping that lets go of what was not used the longest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._slots: OrderedDict[tuple[str, str], Slot] = OrderedDict()

    def get(self, name: tuple[str, str]) -> Slot | None:
        slot = self._slots.get(name)
        if slot is not None:
            self._slots.move_to_end(name)
        return slot

    def put(self, name: tuple[str, str], slot: Slot) -> None:
        self._slots[name] = slot
        self._slots.move_to_end(name)
        if len(self._slots) > self._size:
            self._slots.popitem(last=False)

    def drop(self, name: tuple[str, str]) -> None:
        self._slots.pop(name, None)
