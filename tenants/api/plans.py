"""The plans, all in one document: read, write, revisions, rollback; for operators."""

from __future__ import annotations

from tenants.api.models import Page, PlansWritten, Revision, Rollback
from tenants.api.operations import Call, Operation, Outcome
from tenants.api.preconditions import is_not_modified
from tenants.api.queries import DocumentWriteQuery
from tenants.api.tenants import page_of, what_was_done
from tenants.writer import Receipt


async def get_plans(call: Call) -> Outcome:
    """Answer the plans, or 304 when the caller has them."""
    stored = await call.service.plans.get(call.actor)
    if is_not_modified(call.if_none_match, stored.revision):
        return Outcome(None, 304, tag=stored.revision)
    return Outcome(stored.document, tag=stored.revision)


async def put_plans(call: Call) -> Outcome:
    """Replace or create the plans."""
    return _written(await call.service.plans.put(call.actor, call.body, call.options))


async def list_revisions(call: Call) -> Outcome:
    """Answer the revisions that are kept."""
    return Outcome(page_of(await call.service.plans.revisions(call.actor)))


async def roll_back(call: Call) -> Outcome:
    """Write an old revision again."""
    return _written(await call.service.plans.rollback(call.actor, call.body.revision, call.options))


def _written(receipt: Receipt) -> Outcome:
    is_new = receipt.is_created and not receipt.is_dry_run
    return Outcome(
        PlansWritten(**what_was_done(receipt)),
        201 if is_new else 200,
        tag=receipt.revision or None,
        location=_ALL if is_new else None,
    )


_ALL = "/v1/plans"

OPERATIONS = (
    Operation(
        "getPlans", "GET", _ALL, "Read the plans; the ETag is their revision; operators only", get_plans, "Plans",
        content="plans", statuses=(200, 304), refusals=(403, 404),
    ),
    Operation(
        "putPlans", "PUT", _ALL, "Make the plans these, all of them; one that tenants are on is not dropped (409), "
        "and to find those, all documents are read; operators only", put_plans, "Plans", answer=PlansWritten,
        body="plans", query=DocumentWriteQuery, statuses=(200, 201), refusals=(403, 409, 412, 422), is_write=True,
        is_conditional=True,
    ),
    Operation(
        "listPlanRevisions", "GET", f"{_ALL}/revisions", "List the revisions that are kept, newest first; "
        "operators only", list_revisions, "Plans", answer=Page[Revision], refusals=(403, 404),
    ),
    Operation(
        "rollBackPlans", "POST", f"{_ALL}/rollback", "Write the plans of an old revision again; operators only",
        roll_back, "Plans", answer=PlansWritten, body=Rollback, query=DocumentWriteQuery,
        refusals=(403, 404, 409, 412, 422), is_write=True, is_conditional=True,
    ),
)  # fmt: skip
