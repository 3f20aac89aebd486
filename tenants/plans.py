"""Plans: limits that operators set for every tenant of a plan. One document holds them all, kept as a tenant's is.

A plan is not dropped while tenants are on it, and no tenant is put on one that is not there: each is looked at before
the other is written. What another writer does between the look and the commit is found by the edge, which refuses the
tenant's document by name and serves the last good one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from store.catalog import Catalog, RevisionInfo, Stored
from store.codec import TenantRecord
from store.errors import NotFound, RecordUnreadable
from store.model import DEFAULT_PLAN, PLANS, dump_plans, parse_plans
from tenants.actors import Actor, require_operator
from tenants.diff import find_differences
from tenants.errors import NOT_FOUND, PLAN_IN_USE, Refused, unreadable
from tenants.writer import NO_OPTIONS, Current, Decision, Receipt, Write, WriteOptions, Writer

MAX_NAMED = 10
TENANTS_AT_ONCE = 200
CHANGE_THEM = "change the plans"


@dataclass(frozen=True, slots=True)
class StoredPlans:
    """The plans as dumped, and their revision."""

    revision: int
    document: dict[str, Any]


class Plans:
    """Operations on the plans as a whole; operators only."""

    def __init__(self, catalog: Catalog, writer: Writer) -> None:
        self._catalog = catalog
        self._writer = writer

    async def names(self) -> frozenset[str]:
        """Name the plans that a tenant can be on besides the default one; of damaged ones, the last good."""
        return _names((await self._writer.read(PLANS)).record)

    async def get(self, actor: Actor) -> StoredPlans:
        """Return the plans; `Refused` with 404 when none were ever written, 500 when the bytes are no record."""
        require_operator(actor, "look at the plans")
        current = await self._writer.read(PLANS)
        if current.unreadable is not None:
            raise unreadable(PLANS, current.revision, current.unreadable)
        if current.record is None:
            raise _no_plans()
        return StoredPlans(current.revision, current.record.document)

    async def put(self, actor: Actor, raw: object, options: WriteOptions = NO_OPTIONS) -> Receipt:
        """Make the plans what `raw` says, all of them; `Refused` (409) when one with tenants on it would be gone.

        To find those, all tenants' documents are read, page by page, whenever a plan is to be dropped.
        """
        require_operator(actor, CHANGE_THEM)
        return await self._write(Write(actor, PLANS, "plans.put", options), raw)

    async def revisions(self, actor: Actor) -> tuple[RevisionInfo, ...]:
        """Return the revisions that are kept, newest first."""
        require_operator(actor, "look at the plans")
        history = await self._catalog.history(PLANS)
        if not history:
            raise _no_plans()
        return tuple(history)

    async def rollback(self, actor: Actor, revision: int, options: WriteOptions = NO_OPTIONS) -> Receipt:
        """Write the plans of an old revision again, as a new one and by today's rules."""
        require_operator(actor, CHANGE_THEM)
        try:
            old = await self._catalog.record_at(PLANS, revision)
        except NotFound as error:
            raise Refused(NOT_FOUND, f"the plans have no revision {revision} to go back to") from error
        return await self._write(Write(actor, PLANS, "plans.rollback", options), old.document)

    async def _write(self, write: Write, raw: object) -> Receipt:
        record = TenantRecord(dump_plans(parse_plans(raw)))

        async def decide(current: Current) -> Decision:
            await self._refuse_to_drop(_names(current.record) - _names(record))
            before = current.record.document if current.record else {"plans": {}}
            return Decision(
                record=record,
                is_changed=current.unreadable is not None or record != current.record,
                differences=find_differences(before, record.document),
            )

        return await self._writer.write_decided(write, decide)

    async def _refuse_to_drop(self, dropped: Collection[str]) -> None:
        found = await self._tenants_on(dropped) if dropped else []
        if not found:
            return
        named = ", ".join(f"{tenant} ({plan})" for tenant, plan in found[:MAX_NAMED])
        more = " and others" if len(found) > MAX_NAMED else ""
        raise Refused(PLAN_IN_USE, f"tenants are on plans that would be gone: {named}{more}; put them on others first")

    async def _tenants_on(self, plans: Collection[str]) -> list[tuple[str, str]]:
        """Find tenants on one of these plans, one more than can be named; what cannot be read is on none."""
        found: list[tuple[str, str]] = []
        cursor, is_complete = None, False
        while not is_complete and len(found) <= MAX_NAMED:
            page = await self._catalog.tenants(cursor, TENANTS_AT_ONCE)
            found += [(one.tenant, plan) for one in page.items if (plan := _plan_of(one)) in plans]
            cursor, is_complete = page.cursor, page.cursor is None
        return found


def _plan_of(stored: Stored) -> str:
    try:
        return str(stored.record().document.get("plan", DEFAULT_PLAN))
    except RecordUnreadable:
        return DEFAULT_PLAN


def _names(record: TenantRecord | None) -> frozenset[str]:
    plans = record.document.get("plans") if record else None
    return frozenset(plans if isinstance(plans, dict) else ()) - {DEFAULT_PLAN}


def _no_plans() -> Refused:
    return Refused(NOT_FOUND, "there are no plans")
