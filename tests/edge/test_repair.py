"""What is changed in Redis past the commit script, and what a worker serves that is started while a document is bad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge.repair import Repair
from store import keys
from store.catalog import Change
from store.changes import stored_value
from store.client import Client, connect
from store.codec import TenantRecord, encode
from tests.edge.test_watcher_following import Following, following
from tests.fakes.waiting import until


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.repair.COMPARE_EVERY_S", 0.0)


async def overwrite(raw: Client, tenant: str, value: bytes) -> None:
    await raw.ask("HSET", keys.documents(), tenant, value)


async def kept(raw: Client, tenant: str) -> bytes:
    return bytes(await raw.ask("HGET", keys.documents(), tenant))


def refused(found: Following, tenant: str = "acme") -> Any:
    return found.tenancy.refused.get(tenant)


async def test_a_document_overwritten_without_a_revision_is_refused_and_the_last_good_one_served(
    redis_url: str,
) -> None:
    async with following(redis_url) as found, connect(redis_url, "control") as raw:
        await found.put("other")
        revision = await found.put("acme", name="good")
        await found.reached(revision)
        good = await kept(raw, "acme")
        await overwrite(raw, "acme", good[:-3] + b"xxx")
        await until(lambda: refused(found))
        assert (refused(found).revision, refused(found).serving) == (revision, revision)
        assert "checksum" in refused(found).reason
        assert found.serves("acme") == "good"
        assert list(found.tenancy.refused) == ["acme"]
        await overwrite(raw, "acme", good)
        await until(lambda: not found.tenancy.refused)
        assert found.serves("acme") == "good"


async def test_a_refusal_found_by_comparing_is_told_to_the_fleet(redis_url: str) -> None:
    async with following(redis_url) as found, connect(redis_url, "control") as raw:
        revision = await found.put("acme", name="good")
        await found.reached(revision)
        await overwrite(raw, "acme", b"rubbish" * 5)
        await until(lambda: refused(found))
        await found.watcher._look()
        while not (refusals := (await found.reported()).refused):
            pass
        assert [(each.tenant, each.serving) for each in refusals] == [("acme", revision)]


async def test_a_good_document_put_there_by_hand_is_taken_over(redis_url: str) -> None:
    async with following(redis_url) as found, connect(redis_url, "control") as raw:
        revision = await found.put("acme", name="old")
        await found.reached(revision)
        record = TenantRecord(
            {"tenant": "acme", "name": "by hand", "domains": [{"host": "acme.test", "verified_by": "operator"}]}
        )
        await overwrite(raw, "acme", stored_value(revision, encode(record, "acme")))
        await until(lambda: found.serves("acme") == "by hand")
        assert found.tenancy.refused == {}


async def test_a_document_that_is_gone_without_a_change_is_refused_and_served_on(redis_url: str) -> None:
    async with following(redis_url) as found, connect(redis_url, "control") as raw:
        await found.reached(await found.put("acme", name="good"))
        await raw.ask("HDEL", keys.documents(), "acme")
        await until(lambda: refused(found))
        assert "gone" in refused(found).reason
        assert found.serves("acme") == "good"


async def test_a_document_that_no_change_deleted_is_served_from_its_history_by_a_new_worker(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as before, connect(redis_url, "control") as raw:
        await before.put("acme", name="older")
        revision = await before.put("acme", name="good")
        await raw.ask("HDEL", keys.documents(), "acme")
    async with following(redis_url) as found:
        assert found.serves("acme") == "good"
        assert refused(found).serving == revision
        assert "gone" in refused(found).reason
        await found.reached(await found.put("acme", name="mended"))
        assert (found.serves("acme"), found.tenancy.refused) == ("mended", {})


async def test_a_document_that_no_change_deleted_is_served_on_when_everything_is_compared(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as found, connect(redis_url, "control") as raw:
        revision = await found.put("acme", name="good")
        await found.watcher.catch_up()
        await raw.ask("HDEL", keys.documents(), "acme")
        await raw.ask("SET", keys.run(), "another")
        await found.watcher.catch_up()
        assert found.serves("acme") == "good"
        assert refused(found).serving == revision


async def test_a_tenant_deleted_by_a_change_stays_deleted_when_everything_is_compared_and_at_a_new_worker(
    redis_url: str,
) -> None:
    async with following(redis_url, is_running=False) as found, connect(redis_url, "control") as raw:
        await found.put("acme", name="good")
        await found.watcher.catch_up()
        await found.catalog.commit(Change("acme", None), None)
        await raw.ask("SET", keys.run(), "another")
        await found.watcher._look()
        assert (found.serves("acme"), found.tenancy.refused) == (None, {})
    async with following(redis_url) as started_later:
        assert (started_later.serves("acme"), started_later.tenancy.refused) == (None, {})


async def test_a_tenant_deleted_by_a_change_is_no_difference(redis_url: str) -> None:
    async with following(redis_url) as found:
        await found.put("acme", name="good")
        await found.reached((await found.catalog.commit(Change("acme", None), None)).revision)
        await found.watcher._look()
        assert found.tenancy.refused == {}
        assert found.serves("acme") is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda good: good[:9],
        lambda good: good[:-1] + b"\0",
        lambda good: b"\1" + good[1:],
        lambda good: good[:7] + b"\0" + good[8:],
        lambda _: stored_value(1, encode(TenantRecord({"tenant": "other", "domains": []}), "other")),
    ],
    ids=["nothing", "cut", "its end", "its revision's first byte", "its revision's last byte", "another tenant's"],
)
async def test_a_worker_started_while_a_document_is_bad_serves_it_from_its_history(
    redis_url: str, spoil: Callable[[bytes], bytes]
) -> None:
    async with following(redis_url, is_running=False) as before, connect(redis_url, "control") as raw:
        revision = await before.put("acme", name="good")
        good = await kept(raw, "acme")
        await overwrite(raw, "acme", spoil(good))
    async with following(redis_url) as found:
        assert found.serves("acme") == "good"
        assert refused(found).serving == revision
        assert found.watcher.is_degraded
        await found.reached(await found.put("acme", name="mended"))
        assert found.serves("acme") == "mended"
        assert found.tenancy.refused == {}


async def test_of_the_history_the_newest_that_can_be_used_is_served_once_somebody_has_called(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as before, connect(redis_url, "control") as raw:
        await before.put("acme", name="oldest")
        await before.put("acme", name="older")
        await before.put("acme", bad="for this version")
        await raw.ask("LSET", keys.history("acme"), 1, "damaged")  # "older"
        await raw.ask("LPUSH", keys.history("acme"), "")
    async with following(redis_url) as found:
        with pytest.raises(Exception, match="cannot be used"):
            found.serves("acme")
        await until(lambda: not found.tenancy.wanting())
        assert found.serves("acme") == "oldest"
        assert refused(found).serving == 1


async def test_a_host_that_is_no_longer_the_tenants_is_not_served_from_its_history(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as before, connect(redis_url, "control") as raw:
        await before.put("acme", name="good")
        await raw.ask("SREM", keys.claims("acme"), "acme.test")
        await overwrite(raw, "acme", b"rubbish" * 5)
    async with following(redis_url) as found:
        assert found.serves("acme") is None
        assert refused(found)


async def test_a_tenant_without_a_past_is_refused_and_not_looked_for_again(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as before, connect(redis_url, "control") as raw:
        await before.put("acme", name="good")
        await raw.ask("DEL", keys.history("acme"))
        await overwrite(raw, "acme", b"rubbish" * 5)
    async with following(redis_url) as found:
        assert refused(found).serving == 0
        assert found.tenancy.wanting() == ()


async def test_page_by_page_every_tenant_is_compared_and_then_all_of_them_again(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as found, connect(redis_url, "control") as raw:
        for number in range(250):
            await found.put(f"t{number}")
        await found.watcher.catch_up()
        for tenant in ("t0", "t249", "t99"):
            await overwrite(raw, tenant, b"rubbish" * 5)
        repair, position = Repair(found.catalog, found.tenancy), found.watcher.position
        pages = [await repair.compare(position.epoch, position.revision) for _ in range(3)]
        assert any(pages)
        assert set(found.tenancy.refused) == {"t0", "t249", "t99"}
        assert [await repair.compare(position.epoch, position.revision) for _ in range(3)] == [False] * 3
        await overwrite(raw, "t1", b"rubbish" * 5)
        assert True in [await repair.compare(position.epoch, position.revision) for _ in range(3)]


async def test_what_came_after_the_position_and_what_another_store_holds_is_left_to_the_feed(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as found:
        revision = await found.put("acme")
        await found.watcher.catch_up()
        await found.put("acme", name="later")
        repair = Repair(found.catalog, found.tenancy)
        assert not await repair.compare(found.watcher.position.epoch, revision)
        assert not await repair.compare("another epoch", revision + 1)
        assert await repair.compare(found.watcher.position.epoch, revision + 1)


async def test_between_two_comparisons_is_a_second(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.repair.COMPARE_EVERY_S", 60.0)
    async with following(redis_url, is_running=False) as found, connect(redis_url, "control") as raw:
        revision = await found.put("acme")
        await found.watcher.catch_up()
        repair = Repair(found.catalog, found.tenancy)
        assert not await repair.compare(found.watcher.position.epoch, revision)
        await overwrite(raw, "acme", b"rubbish" * 5)
        assert not await repair.compare(found.watcher.position.epoch, revision)
