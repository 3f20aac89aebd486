"""store/fleet.py: who is alive, and waiting for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis

from store import fleet as fleet_module
from store import keys, reports
from store.client import connect
from store.embedded import RedisProcess
from store.errors import StoreUnavailable
from store.fleet import Fleet, Refusal, WorkerReport
from tests.fakes.redis_modes import wait_until
from tests.fakes.timing import within


@pytest_asyncio.fixture
async def fleet(redis_url: str) -> AsyncIterator[Fleet]:
    """The fleet of a store whose last revision is 9."""
    await at_revision_nine(redis_url)
    async with connect(redis_url, "feed") as client:
        yield Fleet(client)


async def at_revision_nine(url: str) -> None:
    async with connect(url, "control") as client:
        await client.ask("MSET", keys.epoch(), "epoch", keys.revision(), "9", is_write=True)


def a_report(index: int, revision: int, *refused: Refusal) -> WorkerReport:
    return WorkerReport(f"node/{index}/1", "node", 1, "epoch", revision, 5, refused=refused)


async def test_a_report_counts_the_live_workers_and_carries_redis_time(fleet: Fleet) -> None:
    assert await fleet.report(a_report(0, 7)) == 1
    assert await fleet.report(a_report(1, 7)) == 2
    assert await fleet.report(a_report(1, 8)) == 2
    workers = await fleet.workers()
    assert [(worker.worker_id, worker.revision) for worker in workers] == [("node/0/1", 7), ("node/1/1", 8)]
    assert all(worker.reported_at_ms > 1_700_000_000_000 for worker in workers)


async def test_a_worker_that_leaves_is_not_counted_any_more(fleet: Fleet) -> None:
    await fleet.report(a_report(0, 7))
    await fleet.report(a_report(1, 7))
    await fleet.leave("node/1/1")
    await fleet.leave("node/9/9")
    assert [worker.worker_id for worker in await fleet.workers()] == ["node/0/1"]
    assert await fleet.report(a_report(0, 7)) == 1


async def test_reports_of_long_gone_workers_are_swept_away(fleet: Fleet, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        for n in range(5):
            raw.hset(keys.reports(), f"old/{n}", b"x")
            raw.zadd(keys.heartbeats(), {f"old/{n}": 1000 + n})
        await fleet.report(a_report(0, 7))
        assert raw.hkeys(keys.reports()) == [b"node/0/1"]
        assert raw.zrange(keys.heartbeats(), 0, -1) == [b"node/0/1"]


async def test_waiting_ends_at_once_when_all_have_applied(fleet: Fleet) -> None:
    await fleet.report(a_report(0, 7))
    await fleet.report(a_report(1, 8))
    async with within(1):
        state = await fleet.wait(7, 60)
    assert (state.revision, state.applied, state.workers, state.lagging, state.refused) == (7, 2, 2, (), ())


async def test_waiting_in_an_empty_fleet_ends_at_once(fleet: Fleet) -> None:
    async with within(1):
        assert (await fleet.wait(7, 60)).workers == 0


async def test_waiting_ends_with_the_last_acknowledgement(
    fleet: Fleet, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "RECHECK_S", 60)
    for index in range(3):
        await fleet.report(a_report(index, 6))
    waiting = asyncio.create_task(fleet.wait(7, 60))
    await subscribed(redis_url)
    await fleet.report(a_report(0, 7))
    await fleet.report(a_report(1, 7, Refusal("acme", 7, "bad pattern")))
    assert not waiting.done()
    async with within(2):
        await fleet.report(a_report(2, 7))
        state = await waiting
    assert (state.applied, state.workers, state.lagging) == (2, 3, ())
    assert state.refused == (Refusal("acme", 7, "bad pattern", "node/1/1"),)


async def test_waiting_ends_when_the_last_laggard_leaves(fleet: Fleet, redis_url: str) -> None:
    await fleet.report(a_report(0, 7))
    await fleet.report(a_report(1, 6))
    waiting = asyncio.create_task(fleet.wait(7, 60))
    await subscribed(redis_url)
    await fleet.leave("node/1/1")
    assert (await waiting).workers == 1


async def test_who_is_not_done_in_time_is_named(fleet: Fleet) -> None:
    await fleet.report(a_report(0, 7))
    await fleet.report(a_report(1, 6))
    state = await fleet.wait(7, 0.1)
    assert (state.applied, state.workers, state.lagging) == (1, 2, ("node/1/1",))


async def test_a_worker_that_died_is_waited_for_only_while_its_report_is_fresh(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (fleet_module, reports):
        monkeypatch.setattr(module, "LIVE_MS", 300)
    await fleet.report(a_report(0, 6))
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with within(1.5):
        state = await fleet.wait(7, 60)
    assert state.workers == 0
    assert loop.time() - began_s > 0.2


async def test_a_wait_survives_the_loss_of_its_connection(fleet: Fleet, redis_url: str) -> None:
    await fleet.report(a_report(0, 6))
    waiting = asyncio.create_task(fleet.wait(7, 60))
    await subscribed(redis_url)
    with redis.Redis.from_url(redis_url) as raw:
        raw.client_kill_filter(_type="pubsub")
    await fleet.report(a_report(0, 7))
    assert (await waiting).applied == 1


async def test_a_wait_without_redis_says_so_in_time(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "feed") as client:
        own_redis.stop()
        async with within(1):
            with pytest.raises(StoreUnavailable):
                await Fleet(client).wait(7, 0.3)


async def test_an_acknowledgement_is_one_command(fleet: Fleet, redis_url: str) -> None:
    await fleet.report(a_report(0, 6))
    with redis.Redis.from_url(redis_url) as raw:
        raw.config_resetstat()
        await fleet.report(a_report(0, 7))
        calls = {name: stat["calls"] for name, stat in raw.info("commandstats").items()}
    assert calls["cmdstat_evalsha"] == 1
    assert "cmdstat_eval" not in calls


async def subscribed(url: str) -> None:
    """Return when somebody listens to the acknowledgements."""
    with redis.Redis.from_url(url) as raw:
        await asyncio.to_thread(wait_until, lambda: raw.pubsub_numsub(keys.ack_channel())[0][1] == 1)
