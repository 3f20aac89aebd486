"""What documents come to, and what is left of a tenant's past."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis.asyncio

from store import keys
from store.catalog import Catalog, Change
from store.client import connect
from store.codec import TenantRecord
from store.digests import GONE, digest_of
from store.model import PLANS
from tests.fakes.tenants import put


@pytest_asyncio.fixture
async def catalog(redis_url: str) -> AsyncIterator[Catalog]:
    async with connect(redis_url, "control") as client:
        yield Catalog(client)


async def test_a_digest_is_that_of_the_document_and_of_the_tenants_last_change(catalog: Catalog) -> None:
    for tenant in ("b", "a", "c"):
        await catalog.commit(put(tenant), 0)
    page = await catalog.digests()
    assert [(item.tenant, item.revision) for item in page.items] == [("a", 2), ("b", 1), ("c", 3)]
    assert page.epoch == (await catalog.head()).epoch
    assert page.cursor is None
    for item in page.items:
        stored = await catalog.get(item.tenant)
        assert stored is not None
        assert item.value == digest_of(stored.revision, stored.payload)
    assert len({item.value for item in page.items}) == 3


async def test_pages_go_on_where_the_last_one_ended(catalog: Catalog) -> None:
    for number in range(5):
        await catalog.commit(put(f"t{number}"), 0)
    first = await catalog.digests(None, 2)
    second = await catalog.digests(first.cursor, 2)
    third = await catalog.digests(second.cursor, 2)
    found = [[item.tenant for item in page.items] for page in (first, second, third)]
    assert found == [["t0", "t1"], ["t2", "t3"], ["t4"]]
    assert (first.cursor, second.cursor, third.cursor) == ("t1", "t3", None)


async def test_a_page_holds_no_more_bytes_than_are_digested_quickly_but_always_one(catalog: Catalog) -> None:
    for number in range(3):
        await catalog.commit(put(f"t{number}", name="x" * 200_000), 0)
    page = await catalog.digests()
    assert [item.tenant for item in page.items] == ["t0"]
    assert page.cursor == "t0"


async def test_a_document_that_is_gone_has_no_digest_and_an_empty_store_no_page(
    catalog: Catalog, redis_url: str
) -> None:
    assert (await catalog.digests()).items == ()
    await catalog.commit(put("acme"), 0)
    async with redis.asyncio.from_url(redis_url) as raw:
        await raw.hdel(keys.documents(), "acme")
    [item] = (await catalog.digests()).items
    assert item.value == GONE


async def test_the_first_page_has_the_plans_besides_its_tenants_and_the_others_have_not(catalog: Catalog) -> None:
    for number in range(3):
        await catalog.commit(put(f"{number}"), 0)
    assert PLANS not in {item.tenant for item in (await catalog.digests()).items}
    revision = (await catalog.commit(Change(PLANS, TenantRecord({"plans": {}})), 0)).revision
    first = await catalog.digests(None, 2)
    second = await catalog.digests(first.cursor, 2)
    assert [item.tenant for item in first.items] == [PLANS, "0", "1"]
    assert [item.tenant for item in second.items] == ["2"]
    assert (first.cursor, second.cursor) == ("1", None)
    stored = await catalog.get(PLANS)
    assert stored is not None
    assert (first.items[0].revision, first.items[0].value) == (revision, digest_of(revision, stored.payload))


async def test_plans_without_a_tenant_are_all_there_is(catalog: Catalog) -> None:
    await catalog.commit(Change(PLANS, TenantRecord({"plans": {}})), 0)
    page = await catalog.digests()
    assert ([item.tenant for item in page.items], page.cursor) == ([PLANS], None)


async def test_large_plans_leave_less_to_the_first_page_and_never_nothing(catalog: Catalog) -> None:
    for tenant in ("a", "b"):
        await catalog.commit(put(tenant, name="x" * 200_000), 0)
    await catalog.commit(Change(PLANS, TenantRecord({"plans": {"x" * 200_000: {}}})), 0)
    first = await catalog.digests()
    assert ([item.tenant for item in first.items], first.cursor) == ([PLANS, "a"], "a")
    assert [item.tenant for item in (await catalog.digests(first.cursor)).items] == ["b"]


async def test_plans_that_are_gone_have_no_digest(catalog: Catalog) -> None:
    await catalog.commit(Change(PLANS, TenantRecord({"plans": {}})), 0)
    revision = (await catalog.commit(Change(PLANS, None), None)).revision
    [item] = (await catalog.digests()).items
    assert (item.tenant, item.revision, item.value) == (PLANS, revision, GONE)


async def test_the_past_is_the_hosts_of_now_and_the_documents_of_before_without_damaged_ones(
    catalog: Catalog, redis_url: str
) -> None:
    await catalog.commit(put("acme", "a.test"), 0)
    await catalog.commit(put("acme", "b.test"), 1)
    async with redis.asyncio.from_url(redis_url) as raw:
        await raw.lpush(keys.history("acme"), b"damaged")
    past = await catalog.past("acme")
    assert past.claims == {"b.test"}
    assert [stored.revision for stored in past.kept] == [2, 1]
    assert past.kept[1].record().document["domains"] == ["a.test"]
    nobody = await catalog.past("nobody")
    assert (nobody.claims, nobody.kept) == (frozenset(), ())


@pytest.mark.parametrize("other", [(2, b"abc"), (1, b"abd"), (1, b"")])
def test_another_revision_or_other_bytes_come_to_something_else(other: tuple[int, bytes]) -> None:
    assert digest_of(*other) != digest_of(1, b"abc")


async def test_plans_that_no_change_deleted_are_told_though_the_log_of_changes_knows_nothing_of_them(
    catalog: Catalog, redis_url: str
) -> None:
    await catalog.commit(Change(PLANS, TenantRecord({"plans": {}})), 0)
    kept = (await catalog.digests()).items[0].value
    async with redis.asyncio.from_url(redis_url) as raw:
        await raw.zrem(keys.changes(), PLANS)
        assert [(item.tenant, item.revision, item.value) for item in (await catalog.digests()).items] == [
            (PLANS, 0, kept)
        ]
        await raw.hdel(keys.documents(), PLANS)
        assert [(item.tenant, item.value) for item in (await catalog.digests()).items] == [(PLANS, GONE)]
        await raw.delete(keys.history(PLANS))
    assert (await catalog.digests()).items == ()
