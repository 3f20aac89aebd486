"""Whole documents: list, read, write, patch, delete, revisions, rollback."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from store.catalog import RevisionInfo
from tenants.api.models import Difference, DocumentWritten, Page, Revision, Rollback, TenantItem
from tenants.api.operations import Call, Operation, Outcome
from tenants.api.preconditions import is_not_modified
from tenants.api.queries import DocumentWriteQuery, PageQuery, TenantWriteQuery
from tenants.errors import MALFORMED, Refused
from tenants.times import to_rfc3339
from tenants.writer import Receipt


async def list_tenants(call: Call) -> Outcome:
    """Answer a page of tenants."""
    page = await call.service.documents.list(call.actor, call.query.cursor, call.query.limit)
    items = [
        TenantItem(tenant=one.tenant, revision=one.revision or None, document=one.document, error=one.unreadable)
        for one in page.items
    ]
    return Outcome(Page[TenantItem](items=items, cursor=page.cursor))


async def get_tenant(call: Call) -> Outcome:
    """Answer one document, or 304 when the caller has it."""
    stored = await call.service.documents.get(call.actor, call.tenant)
    if is_not_modified(call.if_none_match, stored.revision):
        return Outcome(None, 304, tag=stored.revision)
    return Outcome(stored.document, tag=stored.revision)


async def put_tenant(call: Call) -> Outcome:
    """Replace or create a document."""
    plan = call.query.assume_plan
    if plan is not None and not call.query.dry_run:
        raise Refused(MALFORMED, "assume_plan is of use for a rehearsal: it needs dry_run=true")
    options = replace(call.options, assumed_plan=plan)
    return written(await call.service.documents.put(call.actor, call.tenant, call.body, options))


async def patch_tenant(call: Call) -> Outcome:
    """Merge a patch into a document."""
    return written(await call.service.documents.patch(call.actor, call.tenant, call.body, call.options))


async def delete_tenant(call: Call) -> Outcome:
    """Delete a tenant."""
    return written(await call.service.documents.delete(call.actor, call.tenant, call.options), has_tag=False)


async def list_revisions(call: Call) -> Outcome:
    """Answer the revisions that are kept."""
    return Outcome(page_of(await call.service.documents.revisions(call.actor, call.tenant)))


async def roll_back(call: Call) -> Outcome:
    """Write an old revision again."""
    documents = call.service.documents
    return written(await documents.rollback(call.actor, call.tenant, call.body.revision, call.options))


def written(receipt: Receipt, *, has_tag: bool = True) -> Outcome:
    """The answer to a write of a document; a document that is gone has no tag."""
    body = DocumentWritten(tenant=receipt.tenant, **what_was_done(receipt))
    is_new = receipt.is_created and not receipt.is_dry_run
    return Outcome(
        body,
        201 if is_new else 200,
        tag=receipt.revision if has_tag and receipt.revision else None,
        location=f"/v1/tenants/{receipt.tenant}" if is_new else None,
    )


def what_was_done(receipt: Receipt) -> dict[str, Any]:
    """The fields that every write of a whole document answers."""
    diff = [Difference(path=one.path, verb=one.verb, before=one.before, after=one.after) for one in receipt.differences]
    return {
        "revision": receipt.revision,
        "created": receipt.is_created,
        "changed": receipt.is_changed,
        "dry_run": receipt.is_dry_run,
        "durable": receipt.durable,
        "diff": diff if receipt.is_dry_run else None,
    }


def page_of(history: Iterable[RevisionInfo]) -> Page[Revision]:
    """Kept revisions as a page; there are never more."""
    return Page[Revision](
        items=[
            Revision(revision=one.revision, at=to_rfc3339(one.at_ms), actor=one.actor, action=one.action)
            for one in history
        ]
    )


_ONE = "/v1/tenants/{tenant}"

OPERATIONS = (
    Operation(
        "listTenants", "GET", "/v1/tenants", "List tenants, in order of name", list_tenants, "Tenants",
        answer=Page[TenantItem], query=PageQuery,
    ),
    Operation(
        "getTenant", "GET", _ONE, "Read a tenant's document; the ETag is its revision", get_tenant, "Tenants",
        content="document", statuses=(200, 304), refusals=(404,),
    ),
    Operation(
        "putTenant", "PUT", _ONE, "Make a tenant's document this one; operators create tenants so", put_tenant,
        "Tenants", answer=DocumentWritten, body="document", query=TenantWriteQuery, statuses=(200, 201),
        refusals=(403, 404, 409, 412, 422), is_write=True, is_conditional=True,
    ),
    Operation(
        "patchTenant", "PATCH", _ONE, "Merge a patch (RFC 7396) into a tenant's document", patch_tenant, "Tenants",
        answer=DocumentWritten, body="merge patch", query=DocumentWriteQuery,
        refusals=(403, 404, 409, 412, 415, 422), is_write=True, is_conditional=True,
    ),
    Operation(
        "deleteTenant", "DELETE", _ONE, "Delete a tenant with its keys and tokens; operators only", delete_tenant,
        "Tenants", answer=DocumentWritten, query=DocumentWriteQuery, refusals=(403, 404, 412), is_write=True,
        is_conditional=True,
    ),
    Operation(
        "listRevisions", "GET", f"{_ONE}/revisions", "List the revisions that are kept, newest first", list_revisions,
        "History", answer=Page[Revision], refusals=(404,),
    ),
    Operation(
        "rollBack", "POST", f"{_ONE}/rollback", "Write an old revision again, as a new one", roll_back, "History",
        answer=DocumentWritten, body=Rollback, query=DocumentWriteQuery, statuses=(200, 201),
        refusals=(403, 404, 409, 412, 422), is_write=True, is_conditional=True,
    ),
)  # fmt: skip
