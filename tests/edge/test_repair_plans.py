"""Plans that are changed in Redis past the commit script, or lost by it: what workers serve, and that they say so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import redis.asyncio

from edge.repair import Repair
from store import keys
from store.catalog import Change
from store.changes import stored_value
from store.client import connect
from store.codec import encode
from store.embedded import RedisProcess
from store.errors import StoreUnavailable
from store.model import PLANS
from tests.edge.test_repair import kept, overwrite, refused
from tests.edge.test_watcher_following import Following, following
from tests.edge.test_watcher_plans import put_plans, record_of
from tests.fakes.waiting import until

SPOILT = b"rubbish" * 5


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.repair.COMPARE_EVERY_S", 0.0)


def has_plan(found: Following, name: str) -> bool:
    try:
        found.plans.of(name)
    except Exception:
        return False
    return True


async def test_a_running_worker_says_that_plans_are_spoilt_and_keeps_them(redis_url: str) -> None:
    async with following(redis_url) as found, connect(redis_url, "control") as raw:
        revision = await put_plans(found, "gold")
        await found.reached(revision)
        good = await kept(raw, PLANS)
        await overwrite(raw, PLANS, SPOILT)
        await until(lambda: refused(found, PLANS))
        assert (refused(found, PLANS).revision, refused(found, PLANS).serving) == (revision, revision)
        assert has_plan(found, "gold")
        await found.watcher._look()
        while not (refusals := (await found.reported()).refused):
            pass
        assert [(each.tenant, each.serving) for each in refusals] == [(PLANS, revision)]
        await overwrite(raw, PLANS, good)
        await until(lambda: not found.tenancy.refused)
        assert has_plan(found, "gold")


@pytest.mark.parametrize(
    "spoil",
    [lambda _: b"", lambda _: SPOILT, lambda good: good[:-1] + b"\0", lambda good: good[:7] + b"\0" + good[8:]],
    ids=["nothing", "no record", "its end", "its revision's last byte"],
)
async def test_a_worker_started_while_plans_are_unreadable_has_the_newest_good_ones_of_their_history(
    redis_url: str, spoil: Callable[[bytes], bytes]
) -> None:
    async with following(redis_url, is_running=False) as before, connect(redis_url, "control") as raw:
        await before.put("acme", name="good", plan="gold")
        await put_plans(before, "silver")
        good = await put_plans(before, "gold")
        last = await put_plans(before, "platinum")
        await raw.ask("LSET", keys.history(PLANS), 0, "damaged")
        await overwrite(raw, PLANS, spoil(await kept(raw, PLANS)))
    async with following(redis_url) as found:
        assert (refused(found, PLANS).revision, refused(found, PLANS).serving) == (last, good)
        assert not found.tenancy.has_outdated
        assert found.watcher.is_degraded
        assert found.serves("acme") == "good"
        assert list(found.tenancy.refused) == [PLANS]
        await found.reached(await put_plans(found, "gold", "mended"))
        assert (has_plan(found, "mended"), found.tenancy.refused) == (True, {})


async def test_a_tenant_and_its_plan_are_both_served_from_their_histories(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as before, connect(redis_url, "control") as raw:
        await put_plans(before, "gold")
        await before.put("0", name="good", plan="gold")
        for name in (PLANS, "0"):
            await overwrite(raw, name, SPOILT)
    async with following(redis_url) as found:
        assert found.serves("0") == "good"
        assert {each.tenant: each.serving for each in found.tenancy.refusals()} == {PLANS: 1, "0": 2}


async def test_plans_put_there_by_hand_are_in_effect_for_tenants_that_were_served_before(redis_url: str) -> None:
    async with following(redis_url) as found, connect(redis_url, "control") as raw:
        revision = await put_plans(found, "gold")
        await found.reached(await found.put("acme", name="good"))
        assert found.serves("acme") == "good"
        found.compiled.clear()
        await overwrite(raw, PLANS, stored_value(revision, encode(record_of("by-hand"), PLANS)))
        await until(lambda: has_plan(found, "by-hand") and not found.tenancy.has_outdated)
        assert found.tenancy.refused == {}
        assert found.serves("acme") == "good"
        assert [tenant for tenant, _ in found.compiled] == ["acme"]


async def test_plans_taken_over_are_in_effect_also_when_the_store_is_lost_during_the_comparison(tmp_path: Path) -> None:
    with RedisProcess(tmp_path / "redis") as lost:
        async with following(lost.url, is_running=False) as found, connect(lost.url, "control") as raw:
            await put_plans(found, "gold")
            await found.put("acme", name="good")
            await found.watcher.catch_up()
            assert found.serves("acme") == "good"
            await overwrite(raw, PLANS, stored_value(1, encode(record_of("silver"), PLANS)))
            await overwrite(raw, "acme", SPOILT)

            async def lose_it_after_the_plans() -> None:
                while True:
                    if has_plan(found, "silver"):
                        lost.kill()
                        return
                    await asyncio.sleep(0)

            losing = asyncio.create_task(lose_it_after_the_plans())
            await found.watcher._look()
            losing.cancel()
            assert found.watcher.store_error is not None
            assert (list(found.tenancy.refused), found.tenancy.has_outdated) == ([], False)


async def test_plans_that_are_gone_without_a_change_are_refused_and_stay(redis_url: str) -> None:
    async with following(redis_url) as found, connect(redis_url, "control") as raw:
        revision = await put_plans(found, "gold")
        await found.reached(revision)
        await raw.ask("HDEL", keys.documents(), PLANS)
        await until(lambda: refused(found, PLANS))
        assert "gone" in refused(found, PLANS).reason
        assert refused(found, PLANS).serving == revision
        assert has_plan(found, "gold")


@pytest.mark.parametrize("what", ["document", "note of its change", "both"])
async def test_plans_that_no_change_deleted_are_in_effect_at_a_new_worker_before_it_is_ready(
    redis_url: str, what: str
) -> None:
    async with following(redis_url, is_running=False) as before, connect(redis_url, "control") as raw:
        await before.put("acme", name="good", plan="gold")
        await put_plans(before, "silver")
        revision = await put_plans(before, "gold")
        if what != "note of its change":
            await raw.ask("HDEL", keys.documents(), PLANS)
        if what != "document":
            await raw.ask("ZREM", keys.changes(), PLANS)
    async with following(redis_url, is_running=False) as found:
        await found.watcher.catch_up()
        assert found.watcher.caught_up.is_set()
        assert found.serves("acme") == "good"
        told = [(each.tenant, each.serving) for each in found.tenancy.refusals()]
        assert told == ([(PLANS, revision)] if what != "note of its change" else [])
        await put_plans(found, "gold", "mended")
        await found.watcher.catch_up()
        assert (has_plan(found, "mended"), found.tenancy.refused) == (True, {})


@pytest.mark.parametrize("asked", ["digests", "get"])
async def test_a_new_worker_whose_look_at_the_plans_fails_is_not_ready_before_it_has_them(
    redis_url: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.repair.COMPARE_EVERY_S", 60.0)
    async with following(redis_url, is_running=False) as before, connect(redis_url, "control") as raw:
        await put_plans(before, "gold")
        await raw.ask("ZREM", keys.changes(), PLANS)  # else that would tell of them
    async with following(redis_url, is_running=False) as found:
        answered = getattr(found.catalog, asked)
        monkeypatch.setattr(found.catalog, asked, unanswered)
        with pytest.raises(StoreUnavailable):
            await found.watcher.catch_up()
        assert not found.watcher.caught_up.is_set()
        monkeypatch.setattr(found.catalog, asked, answered)
        await found.watcher.catch_up()
        assert (found.watcher.caught_up.is_set(), has_plan(found, "gold")) == (True, True)


async def unanswered(*_: object) -> None:
    raise StoreUnavailable("for the test")


@pytest.mark.parametrize("what", ["document", "note of its change", "both"])
async def test_plans_that_no_change_deleted_stay_when_everything_is_compared(redis_url: str, what: str) -> None:
    async with following(redis_url, is_running=False) as found, connect(redis_url, "control") as raw:
        revision = await put_plans(found, "gold")
        await found.put("acme", name="good", plan="gold")
        await found.watcher.catch_up()
        if what != "note of its change":
            await raw.ask("HDEL", keys.documents(), PLANS)
        if what != "document":
            await raw.ask("ZREM", keys.changes(), PLANS)
        await raw.ask("SET", keys.run(), "another")
        for _ in range(2):
            await found.watcher._look()
        assert (has_plan(found, "gold"), found.serves("acme")) == (True, "good")
        told = [(each.tenant, each.serving) for each in found.tenancy.refusals()]
        assert told == ([(PLANS, revision)] if what != "note of its change" else [])


async def test_plans_deleted_by_a_change_stay_deleted_when_everything_is_compared_and_at_a_new_worker(
    redis_url: str,
) -> None:
    async with following(redis_url, is_running=False) as found, connect(redis_url, "control") as raw:
        await put_plans(found, "gold")
        await found.watcher.catch_up()
        await found.catalog.commit(Change(PLANS, None), None)
        await raw.ask("SET", keys.run(), "another")
        await found.watcher._look()
        assert (has_plan(found, "gold"), found.tenancy.refused) == (False, {})
    async with following(redis_url) as started_later:
        assert (has_plan(started_later, "gold"), started_later.tenancy.refused) == (False, {})


async def test_plans_deleted_by_a_change_and_a_store_that_never_had_any_are_no_difference(redis_url: str) -> None:
    async with following(redis_url) as found:
        for number in range(120):
            last = await found.put(f"t{number:03}")
        await found.reached(last)
        repair, position = Repair(found.catalog, found.tenancy), found.watcher.position
        assert [await repair.compare(position.epoch, position.revision) for _ in range(3)] == [False] * 3
        await put_plans(found, "gold")
        await found.reached((await found.catalog.commit(Change(PLANS, None), None)).revision)
        assert not has_plan(found, "gold")
        position = found.watcher.position
        assert [await repair.compare(position.epoch, position.revision) for _ in range(3)] == [False] * 3
        assert found.tenancy.refused == {}
        async with following(redis_url) as started_later:
            await started_later.watcher._look()
            assert started_later.tenancy.refused == {}


async def test_plans_that_another_redis_has_lost_stay_and_are_told(tmp_path: Path) -> None:
    with RedisProcess(tmp_path / "redis") as forgetful:
        async with following(forgetful.url, is_running=False) as found:
            await found.put("acme", name="good")
            async with redis.asyncio.Redis.from_url(forgetful.url) as raw:
                await raw.save()
            lost = await put_plans(found, "gold")
            await found.watcher.catch_up()
            forgetful.kill()
            forgetful.start()
            head = await found.put("globex")
            await found.watcher._look()
            assert (refused(found, PLANS).revision, refused(found, PLANS).serving) == (head, lost)
            assert "gone" in refused(found, PLANS).reason
            assert has_plan(found, "gold")
            await found.watcher._look()
            assert list(found.tenancy.refused) == [PLANS]
            await put_plans(found, "silver")
            await found.watcher._look()
            assert (has_plan(found, "silver"), found.tenancy.refused) == (True, {})


async def test_a_worker_without_plans_is_told_of_none_by_another_redis(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as found, redis.asyncio.from_url(redis_url) as raw:
        await found.put("acme", name="good")
        await found.watcher.catch_up()
        await raw.set(keys.run(), "another")
        await found.watcher._look()
        assert found.tenancy.refused == {}
