"""store/limiter.py with leases, before a real Redis: few calls for keys that come often, and nothing lost or gained."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from store.client import Client, connect
from store.decisions import Decision, Take
from store.embedded import RedisProcess
from store.limiter import Limiter
from tests.fakes.waiting import until

WIDE = Take("wide", "k", 10_000, 1.0, 10_000)
HOURLY = Take("hourly", "k", 1000, 3600.0, 1000)


@asynccontextmanager
async def a_limiter(url: str) -> AsyncIterator[Limiter]:
    async with connect(url, "data") as client:
        await client.ping()
        limiter = Limiter(client, lambda: 1)
        try:
            yield limiter
        finally:
            await limiter.aclose()


async def together(limiter: Limiter, count: int, *takes: Take) -> list[Decision]:
    return await asyncio.gather(*(limiter.take("acme", takes) for _ in range(count)))


async def test_requests_that_come_together_are_counted_by_a_few_calls(redis_url: str) -> None:
    async with a_limiter(redis_url) as limiter:
        decisions = await together(limiter, 500, WIDE)
        assert all(decision.admitted for decision in decisions)
        assert limiter.calls <= 3


async def test_a_key_that_comes_often_is_mostly_decided_at_once(redis_url: str) -> None:
    async with a_limiter(redis_url) as limiter:
        for _ in range(2000):
            assert (await limiter.take("acme", [WIDE])).admitted
        assert limiter.calls <= 100


async def test_a_burst_that_comes_at_once_is_admitted_to_the_last_and_no_further(redis_url: str) -> None:
    take = HOURLY._replace(units=64, burst=64)
    async with a_limiter(redis_url) as one, a_limiter(redis_url) as other:
        decisions = await asyncio.gather(together(one, 60, take), together(other, 60, take))
        admitted = sum(decision.admitted for each in decisions for decision in each)
        # What the ends of their lives cost: at this rate less than a unit.
        assert 63 <= admitted + one.drift + other.drift <= 64


async def test_a_refusal_is_repeated_without_asking_until_there_can_be_more(redis_url: str) -> None:
    take = HOURLY._replace(units=1, burst=1)
    async with a_limiter(redis_url) as limiter:
        assert (await limiter.take("acme", [take])).admitted
        refused = await limiter.take("acme", [take])
        calls = limiter.calls
        again = await together(limiter, 100, take)
        assert not any(decision.admitted for decision in [refused, *again])
        assert 3598 < again[0].retry_after_s <= refused.retry_after_s <= 3600
        assert limiter.calls == calls


async def test_of_several_limits_all_are_taken_ahead_or_none(redis_url: str) -> None:
    narrow = Take("narrow", "k", 1, 3600.0, 24)
    async with a_limiter(redis_url) as limiter:
        decisions = await together(limiter, 40, WIDE, narrow)
        admitted = sum(decision.admitted for decision in decisions)
        assert 20 <= admitted <= 24
    async with a_limiter(redis_url) as limiter:
        state = (await limiter.take("acme", [HOURLY])).states[0]
        assert state.remaining == 999
        wide = (await limiter.take("acme", [WIDE])).states[0]
        assert wide.remaining >= WIDE.burst - 24 - WIDE.units // 4  # a life's worth at most besides


async def test_what_nobody_spent_is_given_back_when_the_worker_ends(redis_url: str) -> None:
    async with a_limiter(redis_url) as limiter:
        await together(limiter, 60, HOURLY)
        while not limiter.drift:
            await limiter.take("acme", [HOURLY])
        held = limiter.drift
        before = (await limiter.take("acme", [HOURLY])).states[0].remaining
        assert limiter.drift == held - 1
        await limiter.aclose()
        assert limiter.drift == 0
    async with a_limiter(redis_url) as limiter:
        assert (await limiter.take("acme", [HOURLY])).states[0].remaining == before - 1


async def test_what_nobody_spent_is_given_back_when_others_have_taken_since(redis_url: str) -> None:
    async with a_limiter(redis_url) as one, a_limiter(redis_url) as other:
        await together(one, 60, HOURLY)
        while not one.drift:
            await one.take("acme", [HOURLY])
        held = one.drift
        before = (await other.take("acme", [HOURLY])).states[0].remaining
        await one.aclose()
        assert (await other.take("acme", [HOURLY])).states[0].remaining == before - 1 + held


async def test_what_was_taken_before_a_limit_was_at_rest_is_not_given_back_after(redis_url: str) -> None:
    fast = Take("fast", "k", 1000, 1.0, 400)
    async with a_limiter(redis_url) as one, a_limiter(redis_url) as other:
        await together(one, 60, fast)
        while not one.drift:
            await one.take("acme", [fast])
        await asyncio.sleep(0.5)  # more than all of it: whoever takes next finds it at rest
        before = (await other.take("acme", [fast])).states[0].remaining
        assert before == 399
        for held in list(one._held.values()):
            one._give_back(held)
        await asyncio.gather(*one._tasks)
        assert (await other.take("acme", [fast])).states[0].remaining <= 399


async def test_what_is_not_asked_for_any_more_is_let_go_of(redis_url: str) -> None:
    async with a_limiter(redis_url) as limiter:
        await together(limiter, 30, *(HOURLY._replace(key=str(number)) for number in range(2)))
        await until(lambda: not limiter._held, 5)
        assert limiter.drift == 0


async def test_a_request_that_goes_while_it_waits_leaves_its_unit_to_the_others(own_redis: RedisProcess) -> None:
    async with a_limiter(own_redis.url) as limiter:
        own_redis.pause()
        waiting = [asyncio.create_task(limiter.take("acme", [WIDE])) for _ in range(6)]
        await until(lambda: any(held.waiting for held in limiter._held.values()))
        for task in waiting[::2]:
            task.cancel()
        own_redis.resume()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [True, False] * 3
        assert all(outcome.admitted for outcome in outcomes if isinstance(outcome, Decision))
        for held in limiter._held.values():
            assert not held.waiting
            assert not held.is_asking
        assert (await limiter.take("acme", [WIDE])).admitted


@pytest.mark.fifty_ms
async def test_who_waits_for_a_redis_that_is_lost_is_told_what_the_limits_declare(own_redis: RedisProcess) -> None:
    async with a_limiter(own_redis.url) as limiter:
        own_redis.pause()
        takes = [WIDE._replace(name=loss, on_store_loss=loss) for loss in ("open", "closed", "local")]
        found = await asyncio.gather(*(together(limiter, 20, take) for take in takes))
        own_redis.resume()
        assert [{decision.source for decision in each} for each in found] == [{"open"}, {"closed"}, {"local"}]
        assert [{decision.admitted for decision in each} for each in found] == [{True}, {False}, {True}]


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("burst", [4, 1000])
async def test_closing_leaves_nobody_waiting_and_nothing_held(redis_url: str, burst: int, turns: int) -> None:
    take = HOURLY._replace(units=burst, burst=burst, window="month")  # what is owed of a quota is told exactly
    async with a_limiter(redis_url) as limiter:
        for _ in range(2):
            await limiter.take("acme", [take])
        waiting = [asyncio.create_task(limiter.take("acme", [take])) for _ in range(20)]
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting += [asyncio.create_task(limiter.take("acme", [take])) for _ in range(20)]
        await asyncio.sleep(0)
        await limiter.aclose()
        async with asyncio.timeout(5):
            decisions = await asyncio.gather(*waiting)
        await limiter.aclose()
        assert limiter.drift == 0
        admitted = 2 + sum(decision.admitted for decision in decisions)
    async with a_limiter(redis_url) as limiter:
        last = await limiter.take("acme", [take])
        assert last.states[0].remaining == max(0, burst - admitted - last.admitted)


async def test_a_restarted_redis_that_has_forgotten_its_scripts_is_asked_again(client: Client, redis_url: str) -> None:
    async with a_limiter(redis_url) as limiter:
        await together(limiter, 20, HOURLY)
        await client.ask("SCRIPT", "FLUSH", is_write=True)
        assert (await limiter.take("acme", [HOURLY._replace(key="other")])).source == "store"


@pytest.mark.fifty_ms
async def test_who_waits_behind_a_cancelled_probe_decides_for_itself(own_redis: RedisProcess) -> None:
    async with a_limiter(own_redis.url) as limiter:
        own_redis.pause()
        while not limiter.is_store_lost:
            await limiter.take("acme", [HOURLY])
        await until(lambda: not limiter.is_store_lost, 5)
        waiting = [asyncio.create_task(limiter.take("acme", [HOURLY])) for _ in range(5)]
        await until(lambda: any(held.waiting for held in limiter._held.values()) or waiting[1].done())
        waiting[0].cancel()
        async with asyncio.timeout(5):
            decisions = await asyncio.gather(*waiting[1:])
        own_redis.resume()
        assert {decision.source for decision in decisions} == {"local"}


@asynccontextmanager
async def far_away(url: str, delay_s: float) -> AsyncIterator[str]:
    """Put a Redis behind a line on which each piece takes so long each way."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    loop = asyncio.get_running_loop()
    ends: list[asyncio.StreamWriter] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            loop.call_later(delay_s, writer.write, data)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        ends.extend((writer, back))
        await asyncio.gather(relay(reader, back), relay(there, writer), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
        for end in ends:
            end.close()
            await end.wait_closed()


@pytest.mark.parametrize(("units", "burst"), [(1000, 1), (1000, 20), (100, 20)])
async def test_however_far_redis_is_and_however_many_come_nobody_waits_for_the_others_in_a_row(
    redis_url: str, units: int, burst: int
) -> None:
    take = Take("slow", "k", units, 1.0, burst)
    async with far_away(redis_url, 0.015) as url, a_limiter(url) as limiter:
        decisions = await together(limiter, 300, take)
        assert {decision.source for decision in decisions} == {"store"}
        assert limiter.calls <= 6  # a few that all wait for together; in a row there would be hundreds


async def test_callers_who_come_now_and_then_are_held_by_nobody(redis_url: str) -> None:
    async with a_limiter(redis_url) as limiter:
        await limiter.take("acme", [HOURLY])  # Redis knows the script
        before = limiter.calls, len(limiter._held)
        for n in range(100):
            assert (await limiter.take("acme", [WIDE._replace(key=str(n))])).admitted
        assert (limiter.calls, len(limiter._held)) == (before[0] + 100, before[1])
        assert (await limiter.take("acme", [WIDE._replace(key="0")])).states[0].remaining >= 9_998
        assert len(limiter._held) == before[1] + 1


async def test_a_redis_that_forgot_the_script_counts_a_first_request_all_the_same(redis_url: str) -> None:
    async with a_limiter(redis_url) as limiter:
        assert (await limiter.take("acme", [WIDE])).source == "store"
        async with connect(redis_url, "control") as control:
            await control.ask("SCRIPT", "FLUSH")
        assert (await limiter.take("acme", [WIDE._replace(key="other")])).source == "store"


async def test_what_came_back_before_redis_was_last_asked_in_vain_is_not_owed(own_redis: RedisProcess) -> None:
    take = HOURLY._replace(units=8, burst=8)
    now_s = 1000.0
    async with connect(own_redis.url, "data") as client:
        limiter = Limiter(client, lambda: 1, lambda: now_s)
        for _ in range(2):
            assert (await limiter.take("acme", [take])).source == "store"
        await asyncio.to_thread(own_redis.stop)
        votes = [await limiter.take("acme", [take]) for _ in range(7)]
        assert [(vote.source, vote.admitted) for vote in votes] == [("local", True)] * 6 + [("local", False)]
        now_s += 3600  # all of it is back, and Redis still lost
        assert (await limiter.take("acme", [take])).source == "local"
        await asyncio.to_thread(own_redis.start)
        now_s += 1
        async with asyncio.timeout(5):
            while (await limiter.take("acme", [take._replace(key="other")])).source != "store":
                now_s += 1
        await limiter.aclose()
    # Two were spent before Redis was lost, one since it was last asked in vain, and one is spent now.
    async with a_limiter(own_redis.url) as other:
        assert (await other.take("acme", [take])).states[0].remaining == 8 - 2 - 1 - 1
