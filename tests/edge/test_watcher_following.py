"""A watcher before a real Redis: what it applies, what it refuses, and what it tells the fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from edge.client_edge.plan_limits import PlanLimits
from edge.compiler import CompiledTenant
from edge.router import DomainTable, DynamicRouter, Hit
from edge.tables import UNCONDITIONAL, TableRow
from edge.tenancy import Tenancy
from edge.watcher import Watcher
from store import keys
from store.catalog import KEEP, Catalog, Change
from store.client import connect
from store.codec import Envelope
from store.embedded import RedisProcess
from store.feed import Feed
from store.fleet import Fleet
from store.model import PathPattern
from store.reports import WorkerReport
from tests.fakes.tenants import a_record, an_api_key
from tests.fakes.timing import within
from tests.fakes.waiting import until


class Following:
    """A watcher at work, and what it works with."""

    def __init__(self, catalog: Catalog, feed: Feed, fleet: Fleet) -> None:
        self.catalog = catalog
        self.fleet = fleet
        self.compiled: list[tuple[str, int]] = []
        self.forgotten: list[str] = []
        self.router = DynamicRouter()
        self.plans = PlanLimits()
        self.tenancy = Tenancy(self.router, self._compile, self.forgotten.append, self.plans.swap)
        report = WorkerReport("n/0/1", "n", 1, "", 0, started_at_ms=1)
        self.watcher = Watcher(catalog, feed, fleet, self.tenancy, report)

    def _compile(self, tenant: str, revision: int, envelope: Envelope) -> CompiledTenant:
        document = envelope.record().document
        if "bad" in document:
            raise ValueError(document["bad"])
        self.plans.of(document.get("plan"))
        self.compiled.append((tenant, revision))
        table = DomainTable([TableRow(PathPattern.parse("/*"), None, UNCONDITIONAL, 0, document.get("name"))])
        return CompiledTenant(dict.fromkeys(envelope.hosts, table), lambda: None)

    async def put(self, tenant: str, **fields: Any) -> int:
        """Commit a tenant with one host of its name; returns the revision."""
        return await put(self.catalog, tenant, **fields)

    def serves(self, tenant: str) -> Any:
        """Say under which name a tenant is served, None when it is not."""
        found = self.router.match(f"{tenant}.test", "/", "GET")
        return found.entry if isinstance(found, Hit) else None

    async def reached(self, revision: int) -> None:
        await until(lambda: self.watcher.position.revision >= revision)

    async def reported(self) -> WorkerReport:
        """Give this worker's report as the fleet has it."""
        (report,) = await self.fleet.workers()
        return report


async def put(catalog: Catalog, tenant: str, **fields: Any) -> int:
    record = a_record(tenant, **fields)
    record.document["domains"] = [{"host": f"{tenant}.test", "verified_by": "operator"}]
    return (await catalog.commit(Change(tenant, record), None)).revision


@asynccontextmanager
async def following(url: str, *, is_running: bool = True) -> AsyncIterator[Following]:
    async with AsyncExitStack() as stack:
        control, feed = [await stack.enter_async_context(connect(url, role)) for role in ("control", "feed")]
        found = Following(Catalog(control), Feed(feed), Fleet(control))
        if not is_running:
            yield found
            return
        running = asyncio.create_task(found.watcher.run())
        try:
            await asyncio.wait_for(found.watcher.caught_up.wait(), 5)
            yield found
            assert not running.done()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def test_what_was_there_at_the_start_is_compiled_when_it_is_called_and_what_comes_later_at_once(
    redis_url: str,
) -> None:
    async with connect(redis_url, "control") as client:
        await put(Catalog(client), "early", name="one")
    async with following(redis_url) as found:
        assert found.compiled == []
        late = await found.put("late", name="two")
        await found.reached(late)
        assert found.compiled == [("late", late)]
        assert (found.serves("early"), found.serves("late")) == ("one", "two")


async def test_a_start_from_many_pages_ends_at_the_head_and_lets_the_loop_breathe(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as found:
        for number in range(1201):
            await found.put(f"t{number}")
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        await found.watcher.catch_up()
        ticking.cancel()
        assert found.watcher.position.revision == 1201
        assert len(found.tenancy) == 1201
        assert found.compiled == []
        assert ticks > 1201 / 50


async def test_a_document_that_changes_has_no_key_forgotten_and_a_key_that_changes_has(redis_url: str) -> None:
    async with following(redis_url) as found:
        await found.reached(await found.put("acme", name="one"))
        found.forgotten.clear()
        await found.reached(await found.put("acme", name="two"))
        assert (found.serves("acme"), found.forgotten) == ("two", [])
        await found.catalog.commit(Change("acme", KEEP, put_keys=(an_api_key("k1"),)), None)
        await found.reached(await found.put("acme", name="three"))
        assert found.forgotten == ["acme"]


async def test_a_key_that_changed_before_others_did_and_its_document_after_them_is_forgotten(redis_url: str) -> None:
    async with following(redis_url, is_running=False) as found:
        await found.put("acme")
        await found.watcher.catch_up()
        await found.catalog.commit(Change("acme", KEEP, put_keys=(an_api_key("k1"),)), None)
        for number in range(600):  # more than one page
            await found.put(f"t{number}")
        await found.put("acme", name="later")
        found.forgotten.clear()
        await found.watcher.catch_up()
        assert (found.serves("acme"), found.forgotten) == ("later", ["acme"])


async def test_a_change_is_acknowledged_to_whoever_waits_for_it(redis_url: str) -> None:
    async with following(redis_url) as found:
        revision = await found.put("acme")
        state = await found.fleet.wait(revision, 5.0)
        assert (state.applied, state.workers, state.lagging) == (1, 1, ())


async def test_a_bad_document_is_refused_by_name_and_the_last_good_one_is_served(redis_url: str) -> None:
    async with following(redis_url) as found:
        await found.reached(await found.put("acme", name="good"))
        revision = await found.put("acme", bad="a route without an upstream")
        state = await found.fleet.wait(revision, 5.0, "acme")
        (refusal,) = state.refused
        assert (refusal.tenant, refusal.revision, refusal.reason) == ("acme", revision, "a route without an upstream")
        assert refusal.worker_id == "n/0/1"
        assert found.serves("acme") == "good"
        assert found.watcher.is_degraded
        mended = await found.put("acme", name="better")
        assert (await found.fleet.wait(mended, 5.0, "acme")).refused == ()
        assert found.serves("acme") == "better"
        assert not found.watcher.is_degraded


async def test_a_change_of_keys_forgets_them_and_compiles_nothing(redis_url: str) -> None:
    async with following(redis_url) as found:
        await found.reached(await found.put("acme", name="good"))
        found.compiled.clear()
        found.forgotten.clear()
        change = Change("acme", KEEP, put_keys=(an_api_key("k"),))
        await found.reached((await found.catalog.commit(change, None)).revision)
        assert (found.forgotten, found.compiled) == (["acme"], [])


async def test_a_deleted_tenant_is_served_no_more(redis_url: str) -> None:
    async with following(redis_url) as found:
        await found.reached(await found.put("acme", name="good"))
        await found.reached((await found.catalog.commit(Change("acme", None), None)).revision)
        assert found.serves("acme") is None
        assert len(found.tenancy) == 0


async def test_a_worker_to_which_nothing_happens_says_each_second_that_it_lives(redis_url: str) -> None:
    async with following(redis_url) as found:
        first = await found.reported()
        async with within(3):
            while (await found.reported()).reported_at_ms == first.reported_at_ms:  # noqa: ASYNC110  # Redis' news
                await asyncio.sleep(0.05)
        assert (await found.reported()).revision == first.revision


async def gone(raw: redis.asyncio.Redis) -> None:
    await raw.flushall()


async def set_back(raw: redis.asyncio.Redis) -> None:
    await raw.set(keys.revision(), 1)


async def replaced(raw: redis.asyncio.Redis) -> None:
    await raw.set(keys.epoch(), "another")


@pytest.mark.parametrize(("happen", "word"), [(gone, "empty"), (set_back, "went back"), (replaced, "replaced")])
async def test_a_store_that_is_not_what_it_was_is_told_and_not_followed(redis_url: str, happen: Any, word: str) -> None:
    async with following(redis_url) as found, redis.asyncio.from_url(redis_url) as raw:
        await found.put("other")
        await found.reached(await found.put("acme", name="good"))
        before = found.watcher.position
        await happen(raw)
        await until(lambda: found.watcher.alarm)
        assert word in (found.watcher.alarm or "")
        assert found.watcher.position == before
        assert found.serves("acme") == "good"
        assert len(found.tenancy) == 2
        await until(lambda: found.watcher.is_degraded)
        async with asyncio.timeout(5):
            while word not in ((await found.reported()).last_error or ""):  # noqa: ASYNC110  # Redis' news
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("happen", [gone, set_back, replaced])
async def test_a_write_to_a_store_that_is_not_followed_is_applied_by_nobody(redis_url: str, happen: Any) -> None:
    async with following(redis_url) as found, redis.asyncio.from_url(redis_url) as raw:
        for _ in range(9):
            await found.put("other")
        await found.reached(await found.put("acme", name="good"))
        await happen(raw)
        state = await found.fleet.wait(await found.put("beta"), 0.3)
        assert state.applied == 0
        assert len(state.lagging) == state.workers  # an emptied store has not heard of any worker yet


async def test_a_store_that_went_back_and_on_again_is_read_anew_from_its_beginning(redis_url: str) -> None:
    async with following(redis_url) as found, redis.asyncio.from_url(redis_url) as raw:
        await found.put("acme", name="kept")
        before = {name: await raw.dump(name) for name in await raw.keys("{cfg}:*")}
        for number in range(5):
            await found.put("acme", name=f"lost {number}")
        await found.reached(await found.put("gone", name="later"))
        await raw.flushall()
        for name, value in before.items():
            await raw.restore(name, 0, value or b"")
        await until(lambda: found.watcher.alarm)
        for number in range(9):
            last = await found.put("new", name=f"new {number}")
        await until(lambda: found.watcher.alarm is None)
        await found.reached(last)
        assert (found.serves("acme"), found.serves("new")) == ("kept", "new 8")
        assert found.serves("gone") == "later"  # nobody deleted it; it is told
        assert list(found.tenancy.refused) == ["gone"]


async def test_an_alarm_ends_when_the_store_is_what_it_was(redis_url: str) -> None:
    async with following(redis_url) as found, redis.asyncio.from_url(redis_url) as raw:
        await found.reached(await found.put("acme", name="good"))
        epoch = await raw.get(keys.epoch())
        assert epoch is not None
        await replaced(raw)
        await until(lambda: found.watcher.alarm)
        await raw.set(keys.epoch(), epoch)
        await until(lambda: found.watcher.alarm is None)
        assert not found.watcher.is_degraded
        await found.reached(await found.put("acme", name="better"))
        assert found.serves("acme") == "better"


async def test_after_a_redis_that_lost_commits_no_revision_is_another_ones_and_all_is_compared(tmp_path: Path) -> None:
    """Else a worker would take the next commit for the lost one of its number, and keep a key that it revokes."""
    with RedisProcess(tmp_path / "redis") as forgetful:
        async with following(forgetful.url, is_running=False) as found:
            await found.put("acme", name="kept")
            await found.catalog.commit(Change("acme", KEEP, put_keys=(an_api_key("k1"),)), None)
            async with redis.asyncio.Redis.from_url(forgetful.url) as raw:
                await raw.save()
            lost = await found.put("acme", name="lost")
            await found.watcher.catch_up()
            assert found.serves("acme") == "lost"
            found.forgotten.clear()
            forgetful.kill()
            forgetful.start()
            commit = await found.catalog.commit(Change("acme", KEEP, drop_keys=("k1",)), None)
            assert commit.revision > lost
            await found.watcher.catch_up()
            assert (found.serves("acme"), found.forgotten) == ("kept", ["acme"])
            assert found.watcher.position.revision == commit.revision
            assert (await found.put("acme", name="next")) == commit.revision + 1


async def test_while_the_store_is_away_the_watcher_says_so_and_goes_on_when_it_is_back(own_redis: RedisProcess) -> None:
    async with following(own_redis.url) as found:
        await found.reached(await found.put("acme", name="good"))
        own_redis.stop()
        await until(lambda: found.watcher.store_error, 10)
        assert found.serves("acme") == "good"
        assert found.watcher.is_degraded
        own_redis.start()
        await until(lambda: found.watcher.store_error is None, 10)
        await found.reached(await found.put("acme", name="better"))
        assert found.serves("acme") == "better"
