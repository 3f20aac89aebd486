"""Plans against many tenants: whoever is on a plan is found, on whatever page of the catalog."""

from __future__ import annotations

import asyncio

import pytest

from store.catalog import Catalog, Change
from store.codec import TenantRecord
from tenants.actors import Actor
from tenants.errors import FORBIDDEN, PLAN_IN_USE, Refused
from tenants.plans import TENANTS_AT_ONCE, Plans
from tenants.writer import Writer

OPERATOR, TENANT = Actor("operator", "o"), Actor("tenant", "t", "acme")


@pytest.fixture
def plans(catalog: Catalog) -> Plans:
    return Plans(catalog, Writer(catalog, lambda: 1_800_000_000_000))


async def put_tenant(catalog: Catalog, tenant: str, **fields: str) -> None:
    await catalog.commit(Change(tenant, TenantRecord({"tenant": tenant, **fields})), None)


async def test_a_tenant_on_the_last_page_keeps_its_plan_from_being_dropped(catalog: Catalog, plans: Plans) -> None:
    await plans.put(OPERATOR, {"plans": {"gold": {}, "free": {}}})
    count = TENANTS_AT_ONCE * 2 + 1
    await asyncio.gather(*(put_tenant(catalog, f"t{number:04}", plan="free") for number in range(count)))
    await put_tenant(catalog, "zulu", plan="gold")
    with pytest.raises(Refused, match=r"gone: zulu \(gold\);") as refused:
        await plans.put(OPERATOR, {"plans": {"free": {}}})
    assert refused.value.kind is PLAN_IN_USE
    await put_tenant(catalog, "zulu")
    receipt = await plans.put(OPERATOR, {"plans": {"free": {}}})
    assert [(one.path, one.verb) for one in receipt.differences] == [("plans.gold", "removed")]
    assert await plans.names() == {"free"}


async def test_two_that_write_the_plans_at_once_are_both_written(catalog: Catalog, plans: Plans) -> None:
    others = Plans(catalog, Writer(catalog, lambda: 1_800_000_000_000))
    await asyncio.gather(
        *((plans, others)[number % 2].put(OPERATOR, {"plans": {f"p{number}": {}}}) for number in range(10))
    )
    assert len(await plans.revisions(OPERATOR)) == 10
    assert len(await plans.names()) == 1


async def test_a_tenants_token_reaches_no_operation_on_plans(plans: Plans) -> None:
    await plans.put(OPERATOR, {"plans": {}})
    for asked in (
        plans.get(TENANT),
        plans.put(TENANT, {"plans": {}}),
        plans.revisions(TENANT),
        plans.rollback(TENANT, 1),
    ):
        with pytest.raises(Refused) as refused:
            await asked
        assert refused.value.kind is FORBIDDEN
