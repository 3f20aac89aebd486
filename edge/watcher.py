"""The path of a change in a worker: wake-up -> what changed since -> compile and swap, tenant by tenant -> acknowledge.

The message is a hint, the revision is the truth: every wake-up asks for all that came after the revision applied last,
so a lost message costs lateness and never a change, and a reload is the same as any other delta.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, replace
from time import time

from edge.repair import Repair
from edge.tenancy import NOTHING, Tenancy
from store.catalog import Catalog
from store.changes import Changes, Item
from store.errors import StoreError
from store.feed import Feed
from store.fleet import Fleet
from store.head import Head
from store.reports import WorkerReport

log = logging.getLogger("portico.edge")

HEARTBEAT_S = 1.0
ITEMS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Position:
    """How far a worker is: in which data (epoch) and up to which revision; ("", 0) has seen nothing.

    `run` is of the Redis that took the last commit then: one that took over from it may have lost some before.
    """

    epoch: str = ""
    revision: int = 0
    run: str = ""


def regression(position: Position, found: Changes | Head) -> str | None:
    """Say why what Redis holds cannot be what came after `position`, or None when it can.

    A store that was emptied, restored from an older copy or replaced is not followed: serving yesterday's entries is
    better than serving none. An operator adopts it by restarting the node.
    """
    if position == Position():
        return None
    if not found.epoch:
        return "the store is empty"
    if position.epoch and found.epoch != position.epoch:
        return "the store was replaced by another one"
    if found.revision < position.revision:
        return f"the store went back to revision {found.revision}"
    return None


class Watcher:
    """Keeps a tenancy at the catalog's last revision and tells the fleet how far it is. `run` it until cancelled.

    `report` is this worker's identity; its revision, refusals and error are filled in. The catalog's client is for
    this alone, because it may be busy for a while.
    """

    def __init__(self, catalog: Catalog, feed: Feed, fleet: Fleet, tenancy: Tenancy, report: WorkerReport) -> None:
        self._catalog = catalog
        self._feed = feed
        self._fleet = fleet
        self._tenancy = tenancy
        self._repair = Repair(catalog, tenancy)
        self._report = report
        self._news = asyncio.Event()
        self.position = Position()
        self._whole = NOTHING
        """The revision up to which everything has been applied: what is applied of a page may be ahead of the rest."""
        self.caught_up = asyncio.Event()
        self.live_workers = 1
        self._must_read_all = False
        self.alarm: str | None = None
        self.store_error: str | None = None
        self.last_seen_s = 0.0

    @property
    def is_degraded(self) -> bool:
        """Whether something stands between this worker and the catalog's last revision."""
        return bool(self.alarm or self.store_error or self._tenancy.refused)

    async def run(self) -> None:
        """Follow the feed and report, for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_reporting())
            async for _ in self._feed.wake_ups():
                await self._look()

    async def _look(self) -> None:
        """Catch up, or note why not; the next wake-up tries again."""
        try:
            await self.catch_up()
            if self.alarm is None and await self._mend(
                self._repair.compare(self.position.epoch, self.position.revision)
            ):
                await self._mend(self._repair.recover())
        except StoreError as error:
            self._note(store_error=str(error))
        except Exception as error:  # a worker that stopped following would serve yesterday's routes and say nothing
            log.exception("changes cannot be followed")
            self._note(store_error=f"changes cannot be followed: {type(error).__name__}")

    async def catch_up(self) -> None:
        """Apply all that came after the position; StoreError when the store cannot be asked."""
        is_complete = False
        while not is_complete:
            changes = await self._catalog.changes_since(self.position.revision)
            self.last_seen_s = time()
            alarm = regression(self.position, changes)
            self._note(alarm=alarm)
            if alarm is not None:
                self._must_read_all = True
                return
            if self.position.run and changes.run != self.position.run:
                log.warning("configuration: another Redis took the last commit; all of it is compared")
                self._must_read_all = True
            if self._must_read_all:
                await self._read_all(changes)
                return
            await self._apply(changes)
            is_complete = changes.complete
        if not self.caught_up.is_set():  # the plans may be there, or in their history, and no note of a change of them
            await self._mend(self._repair.compare(self.position.epoch, self.position.revision))
        await self._mend(self._repair.recover())
        self.caught_up.set()

    async def _mend(self, mending: Awaitable[bool]) -> bool:
        """Do what `repair` does, to its end, also when it breaks off: plans may be among what it has taken over."""
        try:
            is_mended = await mending
        finally:
            await self._put_back()
        if is_mended:
            self._news.set()
        return is_mended

    async def _read_all(self, head: Changes) -> None:
        """Compare everything with a store that was another for a while: what it did then has no revisions after ours.

        A tenant that it has no more goes on being served, plans stay in effect, and both are refused: an operator
        decides, by a restart.
        """
        known: set[str] = set()
        since, is_complete = 0, False
        while not is_complete:
            changes = await self._catalog.changes_since(since)
            if changes.epoch != head.epoch or changes.revision < head.revision:
                return  # again; the next look tells
            for item in changes.items:
                await self._take(item, is_lazy=False)
                known.add(item.tenant)
                since = item.revision
                await asyncio.sleep(0)  # requests go first
            is_complete = changes.complete
        for tenant in self._tenancy.held() - known:
            self._tenancy.miss(tenant, changes.revision)
        self.position = Position(changes.epoch, changes.revision, changes.run)
        self._whole = changes.revision
        self._must_read_all = False
        self._news.set()

    async def _apply(self, changes: Changes) -> None:
        is_boot = not self.caught_up.is_set()
        for count, item in enumerate(changes.items, 1):
            await self._take(item, is_lazy=is_boot, known_to=self._whole)
            self.position = Position(changes.epoch, item.revision, changes.run)
            if count % ITEMS_AT_ONCE == 0:
                await asyncio.sleep(0)  # requests go first
        if changes.complete:
            self.position = Position(changes.epoch, changes.revision, changes.run)
            self._whole = changes.revision
        if changes.items:
            self._news.set()

    async def _take(self, item: Item, *, is_lazy: bool, known_to: int = NOTHING) -> None:
        """Apply one change, to its end: plans are in effect when no tenant is served by those before them.

        The next change is applied after it, by this task: only requests come in between.
        """
        self._tenancy.apply(item, is_lazy=is_lazy, known_to=known_to)
        await self._put_back()

    async def _put_back(self) -> None:
        """Leave no tenant with plans that are no more."""
        while self._tenancy.has_outdated:
            self._tenancy.put_back(ITEMS_AT_ONCE)
            await asyncio.sleep(0)  # requests go first

    def _note(self, alarm: str | None = None, store_error: str | None = None) -> None:
        for before, now in ((self.alarm, alarm), (self.store_error, store_error)):
            if now is not None and now != before:
                log.error("configuration: %s; serving revision %d", now, self.position.revision)
        if (alarm, store_error) != (self.alarm, self.store_error):
            self._news.set()
        self.alarm, self.store_error = alarm, store_error

    async def _keep_reporting(self) -> None:
        """Acknowledge at once what was applied, and say once a second that this worker lives."""
        while True:
            self._news.clear()
            try:
                self.live_workers = await self._fleet.report(self.report())
            except StoreError as error:
                log.debug("cannot report: %s", error)  # the feed's own trouble has been logged
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    def report(self) -> WorkerReport:
        """Say how far this worker is."""
        return replace(
            self._report,
            epoch=self.position.epoch,
            revision=self.position.revision,
            refused=tuple(self._tenancy.refusals()),
            last_error=self.alarm or self.store_error,
            is_following=self.alarm is None,
        )
