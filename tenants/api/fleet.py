"""The fleet and the audit trail: for operators."""

from __future__ import annotations

from tenants.api.models import AuditEntry, Nodes, Page, TenantRefusal, Worker
from tenants.api.operations import Call, Operation, Outcome
from tenants.api.queries import PageQuery
from tenants.times import to_rfc3339


async def list_nodes(call: Call) -> Outcome:
    """Answer every live worker."""
    nodes = await call.service.fleet.nodes(call.actor)
    workers = [
        Worker(
            worker=one.worker_id,
            node=one.node,
            pid=one.pid,
            revision=one.revision,
            lag=max(0, nodes.revision - one.revision) if one.is_within(nodes.head) else None,
            started_at=to_rfc3339(one.started_at_ms),
            reported_at=to_rfc3339(one.reported_at_ms),
            last_error=one.last_error,
            refused=[
                TenantRefusal(tenant=no.tenant, revision=no.revision, reason=no.reason, serving=no.serving or None)
                for no in one.refused
            ],
        )
        for one in nodes.workers
    ]
    return Outcome(Nodes(revision=nodes.revision, epoch=nodes.epoch, workers=workers))


async def list_audit(call: Call) -> Outcome:
    """Answer a page of the audit trail, newest first."""
    page = await call.service.audit.list(call.actor, call.query.cursor, call.query.limit)
    items = [
        AuditEntry(
            id=one.cursor,
            at=to_rfc3339(one.at_ms),
            actor=one.actor,
            action=one.action,
            tenant=one.tenant or None,
            revision=one.revision or None,
            detail=one.detail,
        )
        for one in page.items
    ]
    return Outcome(Page[AuditEntry](items=items, cursor=page.cursor))


OPERATIONS = (
    Operation(
        "listNodes", "GET", "/v1/nodes", "List every live worker: revision, lag, last error; operators only",
        list_nodes, "Operations", answer=Nodes, refusals=(403,),
    ),
    Operation(
        "listAudit", "GET", "/v1/audit", "List who did what, newest first; operators only", list_audit, "Operations",
        answer=Page[AuditEntry], query=PageQuery, refusals=(403,),
    ),
)  # fmt: skip
