"""The one way a tenant's record is changed, or the plans': read, decide, commit at the revision read, and again.

So no write is lost: two writers of one document never both believe that they wrote last, and a change made from what
was read (a merge patch, a domain added) is made again from what is there now. How often that is tried is bounded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from store.catalog import Catalog, Change
from store.codec import DomainState, TenantRecord
from store.errors import RecordUnreadable, RevisionConflict
from store.model import TenantDocument, dump_document
from store.sealing import Sealer
from tenants.actors import Actor, no_such_tenant
from tenants.diff import Difference, find_differences
from tenants.errors import CONTENDED, DOMAIN_CLAIMED, PRECONDITION_FAILED, Refused, named, unreadable
from tenants.ownership import reconcile, refuse_another_plan, refuse_vouching
from tenants.sealing import seal_secrets
from tenants.turns import Turns

MAX_ATTEMPTS = 20
MAX_PAUSE_S = 0.02
MAX_PATHS_IN_AUDIT = 20


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a write expects of the document's revision. Nothing said: anything goes."""

    revisions: frozenset[int] | None = None
    exists: bool | None = None

    def is_met(self, revision: int, *, exists: bool) -> bool:
        """Whether a document at this revision (0: none is known) is what the writer expects."""
        if self.revisions is not None and not (exists and revision and revision in self.revisions):
            return False
        return self.exists is None or self.exists == exists


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How to write: at which revision, and whether at all (`is_dry_run`: decide and say, write nothing).

    `assumed_plan`: a plan to take for one that is there; for a dry run of what is to follow the plan's own write.
    """

    expectation: Expectation = Expectation()
    is_dry_run: bool = False
    assumed_plan: str | None = None


NO_OPTIONS = WriteOptions()


@dataclass(frozen=True, slots=True)
class Write:
    """Who changes which tenant, as which action, and how."""

    actor: Actor
    tenant: str
    action: str
    options: WriteOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class Current:
    """What the store holds of a tenant now; `unreadable` says why the record is only the last good one, if so.

    `revision` is 0 where none is known: there is no document, or its bytes are no record. A commit is compared with
    `kept_revision`, the number that the store has, whatever it is worth.
    """

    tenant: str
    revision: int
    record: TenantRecord | None
    unreadable: str | None = None
    kept_revision: int = 0

    @property
    def exists(self) -> bool:
        """Whether the tenant has a document, readable or not."""
        return self.record is not None or self.unreadable is not None

    def require_record(self) -> TenantRecord:
        """The record, for a change that is made from what is there; `Refused` (404, 500) when it cannot be."""
        if self.unreadable is not None:
            raise unreadable(self.tenant, self.revision, self.unreadable)
        if self.record is None:
            raise no_such_tenant(self.tenant)
        return self.record


@dataclass(frozen=True, slots=True)
class Draft:
    """What the record shall be: None for no document; `domains` None: follow from what was recorded before."""

    document: TenantDocument | None
    domains: Mapping[str, DomainState] | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a write did. `revision`: the document's, after it (or as it is, 0 for none, when nothing was written)."""

    tenant: str
    revision: int
    is_created: bool = False
    is_changed: bool = False
    is_dry_run: bool = False
    durable: bool | None = None
    differences: tuple[Difference, ...] = ()
    record: TenantRecord | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """A decided write: the record to commit and what differs from the one before."""

    record: TenantRecord | None
    is_changed: bool
    differences: tuple[Difference, ...]
    new_hosts: frozenset[str] = field(default=frozenset())


Edit = Callable[[Current], Draft]
Decide = Callable[[Current], Awaitable[Decision]]


def decide(write: Write, current: Current, draft: Draft, now_ms: int) -> Decision:
    """Decide what to commit, purely; `Refused` when the actor may not write this."""
    before = current.record
    before_document = before.document if before else {}
    if draft.document is None:
        return Decision(None, current.exists, find_differences(before_document, {}))
    refuse_vouching(write.actor, before, draft.document)
    refuse_another_plan(write.actor, before, draft.document)
    states = draft.domains
    if states is None:
        states = reconcile(write.actor, before, draft.document, now_ms)
    record = TenantRecord(document=dump_document(draft.document), domains=dict(states))
    return Decision(
        record=record,
        is_changed=not current.exists or current.unreadable is not None or record != before,
        differences=find_differences(before_document, record.document),
        new_hosts=frozenset(states) - frozenset(before.domains if before and current.exists else ()),
    )


class Writer:
    """Reads and changes tenants' records. `now_ms`: Unix time; `pause_s(n)`: how long to wait after the n-th try.

    `sealer` seals the secrets of documents on their way in; without one, those that have any are refused.
    """

    def __init__(
        self,
        catalog: Catalog,
        now_ms: Callable[[], int],
        pause_s: Callable[[int], float] | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        self._catalog = catalog
        self.now_ms = now_ms
        self._pause_s = pause_s or _full_jitter_s
        self._sealer = sealer
        self._turns = Turns()

    async def read(self, tenant: str) -> Current:
        """Return what is there; a record that cannot be read is replaced by the last one in history that can."""
        stored = await self._catalog.get(tenant)
        if stored is None:
            return Current(tenant, 0, None)
        try:
            return Current(tenant, stored.revision, stored.record(), kept_revision=stored.revision)
        except RecordUnreadable as error:
            last_good = await self._last_good(tenant)
            return Current(tenant, error.revision, last_good, error.reason, kept_revision=stored.revision)

    async def write(self, write: Write, edit: Edit) -> Receipt:
        """Apply `edit` to what is there and commit it; nothing is written when nothing changes.

        `edit` is called once per try with what is there now, and refuses by raising. Raises `Refused` with 412 when
        the expectation is not met, 409 when a host belongs to somebody else or every try met another writer.
        """

        async def decide_document(current: Current) -> Decision:
            decision = decide(write, current, self._sealed(edit(current), current), self.now_ms())
            if write.options.is_dry_run:
                await self._refuse_claimed(write.tenant, decision)
            return decision

        return await self.write_decided(write, decide_document)

    async def write_decided(self, write: Write, decide_on: Decide) -> Receipt:
        """The same for a record of any kind: `decide_on` says what to commit, given what is there now."""
        async with self._turns.take(write.tenant):
            for attempt in range(MAX_ATTEMPTS):
                try:
                    return await self._attempt(write, decide_on)
                except RevisionConflict:
                    await asyncio.sleep(self._pause_s(attempt))
        raise Refused(CONTENDED, f"{named(write.tenant)} is being changed by others; nothing was written, try again")

    async def _attempt(self, write: Write, decide_on: Decide) -> Receipt:
        current = await self.read(write.tenant)
        _check(write, current)
        decision = await decide_on(current)
        if write.options.is_dry_run or not decision.is_changed:
            return _receipt(write, current, decision)
        return await self._commit(write, current, decision)

    def _sealed(self, draft: Draft, current: Current) -> Draft:
        if draft.document is None:
            return draft
        before = current.record.document if current.record else {}
        return replace(draft, document=seal_secrets(draft.document, before, self._sealer))

    async def _commit(self, write: Write, current: Current, decision: Decision) -> Receipt:
        change = Change(
            tenant=write.tenant,
            record=decision.record,
            actor=write.actor.label,
            action=write.action,
            detail=_detail(decision),
        )
        commit = await self._catalog.commit(change, current.kept_revision)
        return _receipt(write, current, decision, commit.revision, commit.durable)

    async def _refuse_claimed(self, tenant: str, decision: Decision) -> None:
        # A commit finds this out by itself, and atomically; a dry run has to ask.
        taken = []
        for host in sorted(decision.new_hosts):
            owner = await self._catalog.host_owner(host)
            if owner is not None and owner != tenant:
                taken.append(host)
        if taken:
            raise Refused(DOMAIN_CLAIMED, f"already claimed: {', '.join(taken)}")

    async def _last_good(self, tenant: str) -> TenantRecord | None:
        try:
            history = await self._catalog.history(tenant)
        except RecordUnreadable:
            return None
        for info in history:
            try:
                return await self._catalog.record_at(tenant, info.revision)
            except RecordUnreadable:
                continue
        return None


def _check(write: Write, current: Current) -> None:
    if write.options.expectation.is_met(current.revision, exists=current.exists):
        return
    if not current.exists:
        now = "does not exist"
    elif not current.revision:
        now = f"is there, but cannot be read: {current.unreadable}; it has no revision to be matched"
    elif write.options.expectation.exists is False:
        now = f"exists already, at revision {current.revision}"
    else:
        now = f"is at revision {current.revision}, which is not the one expected"
    raise Refused(PRECONDITION_FAILED, f"{named(write.tenant)} {now}")


def _receipt(
    write: Write, current: Current, decision: Decision, revision: int | None = None, durable: bool | None = None
) -> Receipt:
    return Receipt(
        tenant=write.tenant,
        revision=current.revision if revision is None else revision,
        is_created=not current.exists and decision.record is not None,
        is_changed=decision.is_changed,
        is_dry_run=write.options.is_dry_run,
        durable=durable,
        differences=decision.differences,
        record=decision.record,
    )


def _detail(decision: Decision) -> dict[str, object]:
    paths = [difference.path for difference in decision.differences]
    detail: dict[str, object] = {"changed": paths[:MAX_PATHS_IN_AUDIT]}
    if len(paths) > MAX_PATHS_IN_AUDIT:
        detail["and_more"] = len(paths) - MAX_PATHS_IN_AUDIT
    return detail


def _full_jitter_s(attempt: int) -> float:
    return random.uniform(0, min(MAX_PAUSE_S, 0.001 * 2**attempt))  # noqa: S311 - spreads writers, guards nothing
