"""What the feed cannot tell: a record changed past the commit script, and a tenant that is left with nothing to serve.

Both are looked for at leisure, a page of tenants a second: the store says what its documents come to, and only one
that differs from ours is fetched. A tenant whose record cannot be used, and of which this worker has no good one from
before (it has just been started), is served from its history. The plans are compared with the first page, and recovered
before any tenant, which is compiled with them; whoever calls owes the tenancy's `put_back` then.
"""

from __future__ import annotations

import asyncio
import logging

from edge.tenancy import Tenancy
from store.catalog import Catalog
from store.changes import Item
from store.digests import GONE, Digest
from store.errors import StoreRefused

log = logging.getLogger("portico.edge")

COMPARE_EVERY_S = 1.0
TENANTS_AT_ONCE = 100


class Repair:
    """Compares and recovers, a bounded piece at a time; called by the watcher, in between two changes."""

    def __init__(self, catalog: Catalog, tenancy: Tenancy) -> None:
        self._catalog = catalog
        self._tenancy = tenancy
        self._cursor: str | None = None
        self._due_s = 0.0
        self._is_forbidden = False

    async def recover(self) -> bool:
        """Find something to serve for each tenant that has nothing; True when one was looked for.

        Raises StoreUnavailable, and they are looked for again the next time.
        """
        wanting = self._tenancy.wanting()
        for tenant in wanting:
            try:
                self._tenancy.recover(tenant, await self._catalog.past(tenant))
            except StoreRefused as error:
                self._tenancy.give_up(tenant)
                log.error("the history of tenant %s cannot be read: %s", tenant, error)
            await asyncio.sleep(0)  # requests go first
        return bool(wanting)

    async def compare(self, epoch: str, revision: int) -> bool:
        """Compare a page if it is time; True when something was not what the store has. `revision`: applied so far.

        Raises StoreUnavailable.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s < self._due_s:
            return False
        try:
            page = await self._catalog.digests(self._cursor, TENANTS_AT_ONCE)
        except StoreRefused as error:
            if not self._is_forbidden:
                log.error("documents cannot be compared with the store's: %s", error)
            self._is_forbidden = True
            self._due_s = now_s + COMPARE_EVERY_S
            return False
        differing: list[Digest] = []
        if page.epoch == epoch:  # else another store since the last look; the next one tells
            differing = [item for item in page.items if self._differs(item, revision)]
        for item in differing:
            await self._take_over(item)
            await asyncio.sleep(0)
        # Not before the end: when the store is lost meanwhile, the page is looked at again, and a start waits for it.
        self._cursor = page.cursor
        self._due_s = now_s + COMPARE_EVERY_S
        return bool(differing)

    def _differs(self, item: Digest, revision: int) -> bool:
        # A later revision than ours is a change like any other, and on its way.
        return item.revision <= revision and item.value != self._tenancy.digest(item.tenant)

    async def _take_over(self, item: Digest) -> None:
        stored = await self._catalog.get(item.tenant)
        if stored is None or item.value == GONE:
            self._tenancy.miss(item.tenant, item.revision)
        else:
            self._tenancy.apply(Item(item.tenant, item.revision, stored.revision, stored.payload, 0), is_lazy=False)
            self._tenancy.has_looked_at(item.tenant, item.value)
