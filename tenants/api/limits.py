"""How much of a tenant's limits is used now."""

from __future__ import annotations

from store.counts import Wanted
from store.model import Limit
from store.standing import Standing, kind_of, most_of
from tenants.api.models import LimitCount, LimitCounts, LimitInForce
from tenants.api.operations import Call, Operation, Outcome
from tenants.api.queries import LimitsQuery
from tenants.times import to_rfc3339


async def list_limits(call: Call) -> Outcome:
    """Answer a page of counts, and the limits in force."""
    query: LimitsQuery = call.query
    wanted = Wanted(query.name, query.key)
    page = await call.service.limits.list(call.actor, call.tenant, wanted, query.cursor, query.limit)
    return Outcome(
        LimitCounts(
            at=to_rfc3339(page.at_ms),
            limits=[_in_force(name, limit) for name, limit in page.limits.items()],
            items=[_count(one) for one in page.items],
            cursor=page.cursor,
        )
    )


def _in_force(name: str, limit: Limit) -> LimitInForce:
    declared = limit.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return LimitInForce(name=name, kind=kind_of(limit), most=most_of(limit), declared=declared)


def _count(one: Standing) -> LimitCount:
    return LimitCount(
        name=one.name,
        key=one.key,
        kind=one.kind,
        used=one.used,
        most=one.most,
        left=one.left,
        owed=one.owed,
        back_in_s=None if one.back_in_s is None else round(one.back_in_s, 3),
        workers=one.workers,
        shadow=one.is_shadow,
        in_force=one.is_declared,
    )


OPERATIONS = (
    Operation(
        "listLimits", "GET", "/v1/tenants/{tenant}/limits", "List what is counted by a tenant's limits now",
        list_limits, "Limits", answer=LimitCounts, query=LimitsQuery, refusals=(404,),
    ),
)  # fmt: skip
