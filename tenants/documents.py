"""Tenants' documents: list, read, write, patch, delete, their history and the way back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from store.catalog import Catalog, RevisionInfo, Stored
from store.codec import DomainState, TenantRecord
from store.errors import NotFound, RecordUnreadable
from store.model import DocumentError, Fault, TenantDocument, missing_plan, parse_document
from store.sessions import Revocations
from tenants.actors import Actor, no_such_tenant, require_operator, require_reach
from tenants.errors import INVALID, NOT_FOUND, Refused, unreadable
from tenants.merge_patch import merge_patch
from tenants.ownership import reconcile
from tenants.plans import Plans
from tenants.tokens import Tokens
from tenants.writer import NO_OPTIONS, Current, Draft, Receipt, Write, WriteOptions, Writer


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A tenant's document as dumped, and its revision; `unreadable` says why there is none to show, if so.

    `revision` is 0 when it cannot be read either.
    """

    tenant: str
    revision: int
    document: dict[str, Any] | None
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some tenants in order of name; `cursor` continues after them, None at the end."""

    items: tuple[StoredDocument, ...]
    cursor: str | None


class Documents:
    """Operations on whole documents. A tenant's token reaches its own; every other tenant is "not found" to it."""

    def __init__(
        self, catalog: Catalog, writer: Writer, tokens: Tokens, plans: Plans, revocations: Revocations
    ) -> None:
        self._catalog = catalog
        self._writer = writer
        self._tokens = tokens
        self._plans = plans
        self._revocations = revocations

    async def list(self, actor: Actor, cursor: str | None, limit: int) -> DocumentPage:
        """Return up to `limit` tenants after `cursor`: all of them for an operator, its own for a tenant's token."""
        if not actor.is_operator:
            own = await self._catalog.get(actor.tenant or "")
            return DocumentPage((_shown(own),) if own else (), None)
        page = await self._catalog.tenants(cursor, limit)
        return DocumentPage(tuple(_shown(stored) for stored in page.items), page.cursor)

    async def get(self, actor: Actor, tenant: str) -> StoredDocument:
        """Return one document; `Refused` with 500 when its bytes are not a record of ours."""
        require_reach(actor, tenant)
        stored = await self._catalog.get(tenant)
        if stored is None:
            raise no_such_tenant(tenant)
        shown = _shown(stored)
        if shown.unreadable is not None:
            raise unreadable(tenant, shown.revision, shown.unreadable)
        return shown

    async def put(self, actor: Actor, tenant: str, raw: object, options: WriteOptions = NO_OPTIONS) -> Receipt:
        """Make the document what `raw` says, whatever it was; only an operator creates a tenant.

        Without an expectation the last writer wins; with one, `Refused` (412) tells that somebody else wrote first.
        """
        require_reach(actor, tenant)
        document = _parse_for(tenant, raw, await self._plans_for(actor, options))
        if actor.is_operator and not options.is_dry_run and not (await self._writer.read(tenant)).exists:
            # of a tenant that once had this name, should its deletion have been cut short
            await self._end_all_of(actor, tenant)

        def edit(current: Current) -> Draft:
            if not current.exists and not actor.is_operator:
                raise no_such_tenant(tenant)
            return Draft(document)

        return await self._writer.write(Write(actor, tenant, "tenant.put", options), edit)

    async def patch(self, actor: Actor, tenant: str, patch: object, options: WriteOptions = NO_OPTIONS) -> Receipt:
        """Merge `patch` (RFC 7396) into the document that is there; made again from the newer one on a conflict."""
        require_reach(actor, tenant)
        if not isinstance(patch, dict):
            raise Refused(INVALID, "a merge patch of a document is an object", [Fault("", "is not an object")])
        plans = await self._plans_for(actor, options)

        def edit(current: Current) -> Draft:
            return Draft(_parse_for(tenant, merge_patch(current.require_record().document, patch), plans))

        return await self._writer.write(Write(actor, tenant, "tenant.patch", options), edit)

    async def delete(self, actor: Actor, tenant: str, options: WriteOptions = NO_OPTIONS) -> Receipt:
        """Delete a tenant with its history, keys, tokens and sessions; its hosts are free at once. Operators only."""
        require_reach(actor, tenant)
        require_operator(actor, "delete a tenant")

        def edit(current: Current) -> Draft:
            if not current.exists:
                raise no_such_tenant(tenant)
            return Draft(None)

        receipt = await self._writer.write(Write(actor, tenant, "tenant.delete", options), edit)
        if not options.is_dry_run:
            await self._end_all_of(actor, tenant)
        return receipt

    async def _end_all_of(self, actor: Actor, tenant: str) -> None:
        """Revoke what lets anybody in, so that whoever takes the name next does not inherit it."""
        await self._tokens.delete_all_of(actor, tenant)
        await self._revocations.revoke(tenant)

    async def revisions(self, actor: Actor, tenant: str) -> tuple[RevisionInfo, ...]:
        """Return the revisions that are kept, newest first."""
        require_reach(actor, tenant)
        history = await self._catalog.history(tenant)
        if not history:
            raise no_such_tenant(tenant)
        return tuple(history)

    async def rollback(self, actor: Actor, tenant: str, revision: int, options: WriteOptions = NO_OPTIONS) -> Receipt:
        """Write the document of an old revision again: as a new one, by today's rules, claiming its hosts anew.

        A host that the tenant still has keeps its state. One that comes back is as verified as it was then when an
        operator rolls back; when a tenant does, it waits for an operator: it may have changed hands meanwhile.
        """
        require_reach(actor, tenant)
        old = await self._record_at(tenant, revision)
        document = _parse_for(tenant, old.document, await self._plans_for(actor, options))

        def edit(current: Current) -> Draft:
            states = reconcile(actor, current.record, document, self._writer.now_ms())
            return Draft(document, {**states, **_returning(actor, current, old, states)})

        return await self._writer.write(Write(actor, tenant, "tenant.rollback", options), edit)

    async def _plans_for(self, actor: Actor, options: WriteOptions) -> Collection[str] | None:
        """The plans that a document may name; None for a tenant's token, which cannot write another plan anyway.

        So it learns of no other plan, and is not locked out by one that an operator has dropped.
        """
        if not actor.is_operator:
            return None
        return {*await self._plans.names(), *((options.assumed_plan,) if options.assumed_plan else ())}

    async def _record_at(self, tenant: str, revision: int) -> TenantRecord:
        if await self._catalog.get(tenant) is None:
            raise no_such_tenant(tenant)
        try:
            return await self._catalog.record_at(tenant, revision)
        except NotFound as error:
            raise Refused(NOT_FOUND, f"tenant {tenant!r} has no revision {revision} to go back to") from error


def _returning(
    actor: Actor, current: Current, old: TenantRecord, states: Mapping[str, DomainState]
) -> dict[str, DomainState]:
    """The old states of hosts that an operator brings back: those that the tenant has no more."""
    if not actor.is_operator:
        return {}
    present = current.record.domains if current.record else {}
    return {host: state for host, state in old.domains.items() if host in states and host not in present}


def _parse_for(tenant: str, raw: object, plans: Collection[str] | None) -> TenantDocument:
    # The tenant is the path's: a body may repeat it, but not name another.
    if not isinstance(raw, dict):
        raise DocumentError((Fault("", "a tenant's document is an object"),))
    named = raw.get("tenant", tenant)
    if named != tenant:
        raise DocumentError((Fault("tenant", f"is {str(named)[:80]!r}, but the path says {tenant[:80]!r}"),))
    absent = missing_plan(raw.get("plan"), plans) if plans is not None else None
    try:
        document = parse_document({**raw, "tenant": tenant})
    except DocumentError as error:
        if absent is None or any(fault.path == absent.path for fault in error.faults):
            raise
        raise DocumentError([*error.faults, absent]) from None
    if absent is not None:
        raise DocumentError([absent])
    return document


def _shown(stored: Stored) -> StoredDocument:
    try:
        return StoredDocument(stored.tenant, stored.revision, stored.record().document)
    except RecordUnreadable as error:
        return StoredDocument(stored.tenant, error.revision, None, error.reason)
