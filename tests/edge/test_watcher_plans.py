"""Plans that change before a real Redis: they are in effect when they are acknowledged, and hold up no other change."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import redis.asyncio

from store import keys
from store.catalog import KEEP, Change
from store.codec import TenantRecord
from store.model import PLANS
from tests.edge.test_watcher_following import Following, following
from tests.fakes.tenants import an_api_key

MANY = 300


async def put_plans(found: Following, *names: str) -> int:
    """Commit plans of these names; returns the revision."""
    return (await found.catalog.commit(Change(PLANS, record_of(*names)), None)).revision


def record_of(*names: str) -> TenantRecord:
    return TenantRecord({"plans": {name: {"limits": {"all": {"rate": "1/h", "by": "tenant"}}} for name in names}})


async def call_many(found: Following) -> list[str]:
    """Bring many tenants, call each, and forget what was written down meanwhile."""
    tenants = [f"t{number}" for number in range(MANY)]
    for tenant in tenants:
        await found.put(tenant, name="good")
    await found.watcher.catch_up()
    assert serve(found, tenants) == {"good"}
    found.compiled.clear()
    found.forgotten.clear()
    return tenants


def serve(found: Following, tenants: Iterable[str]) -> set[object]:
    return {found.serves(tenant) for tenant in tenants}


async def test_a_revocation_and_a_document_right_after_the_plans_wait_for_nobody_to_be_compiled(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as found:
        tenants = await call_many(found)
        await found.catalog.commit(Change("t1", KEEP, put_keys=(an_api_key("k1"),)), None)
        await found.watcher.catch_up()
        found.forgotten.clear()
        await put_plans(found, "gold")
        await found.catalog.commit(Change("t1", KEEP, drop_keys=("k1",)), None)
        last = await found.put("t2", name="later")
        await found.watcher.catch_up()
        assert found.watcher.position.revision == last
        assert found.forgotten == ["t1"]
        assert found.compiled == [("t2", last)]
        assert serve(found, tenants) == {"good", "later"}
        assert len(found.compiled) == MANY


async def test_plans_ask_nothing_of_the_store_but_what_changed(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as found, redis.asyncio.from_url(redis_url) as raw:
        await call_many(found)
        await put_plans(found, "gold")
        before = (await raw.info("commandstats"))["cmdstat_evalsha"]["calls"]
        await found.watcher.catch_up()
        assert (await raw.info("commandstats"))["cmdstat_evalsha"]["calls"] == before + 1


async def test_plans_are_acknowledged_when_no_tenant_is_served_by_those_before_and_requests_go_first(
    redis_url: str,
) -> None:
    async with following(redis_url, is_running=False) as found:
        await call_many(found)
        revision = await put_plans(found, "gold")
        seen: list[tuple[int, bool]] = []

        async def look() -> None:
            while True:
                seen.append((found.watcher.position.revision, found.tenancy.has_outdated))
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        await found.watcher.catch_up()
        looking.cancel()
        assert seen.count((revision - 1, True)) >= MANY // 50 - 1
        assert (revision, True) not in seen
        assert found.watcher.position.revision == revision


async def test_plans_found_by_comparing_everything_are_in_effect_then(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as found, redis.asyncio.from_url(redis_url) as raw:
        tenants = await call_many(found)
        await put_plans(found, "gold")
        await raw.set(keys.run(), "another")
        await found.watcher.catch_up()
        assert not found.tenancy.has_outdated
        assert serve(found, tenants) == {"good"}
        assert len(found.compiled) == MANY


async def test_a_tenant_refused_for_want_of_its_plan_is_told_as_applied_when_the_plan_is_there(redis_url: str) -> None:
    async with following(redis_url) as found:
        await found.reached(await found.put("acme", name="old"))
        revision = await found.put("acme", name="new", plan="gold")
        assert [each.serving for each in (await found.fleet.wait(revision, 5.0, "acme")).refused] == [revision - 1]
        assert found.serves("acme") == "old"
        plans = await put_plans(found, "gold")
        assert (await found.fleet.wait(plans, 5.0, "acme")).refused == ()
        assert found.serves("acme") == "new"
        assert not found.watcher.is_degraded
