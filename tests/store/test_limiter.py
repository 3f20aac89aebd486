"""store/limiter.py: limits that hold across the fleet, and what happens without Redis."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import pytest_asyncio
import redis

from store import keys
from store.client import Client, connect
from store.decisions import Decision, Take
from store.embedded import RedisProcess
from store.limiter import Limiter
from tests.fakes import timing

AT_ONCE_S = 0.5
"""Half of what a way to Redis may take to open: many times 50 ms, for a machine that is busy."""


class FakeClock:
    """A monotonic clock that moves when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@asynccontextmanager
async def a_limiter(
    url: str, workers: Callable[[], int] = lambda: 1, clock: FakeClock | None = None
) -> AsyncIterator[Limiter]:
    async with connect(url, "data") as client:
        yield Limiter(client, workers, clock) if clock else Limiter(client, workers)


@pytest_asyncio.fixture
async def limiter(redis_url: str) -> AsyncIterator[Limiter]:
    async with a_limiter(redis_url) as opened:
        yield opened


@pytest.fixture
def no_redis() -> str:
    """The address of nobody."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"redis://127.0.0.1:{unused.getsockname()[1]}"


def a_take(
    name: str = "per-key", key: str = "k1", *, count: int = 2, period_s: float = 60, loss: str = "local"
) -> Take:
    return Take(name, key, count, period_s, count, loss)


async def timed(limiter: Limiter, *takes: Take) -> tuple[Decision, float]:
    return await timing.timed(limiter.take("acme", takes))


def test_it_takes_an_impatient_client_only() -> None:
    with pytest.raises(ValueError, match="data"):
        Limiter(connect("redis://127.0.0.1", "control"), lambda: 1)


async def test_what_redis_never_answered_for_is_let_go_of_and_so_is_what_comes_behind_it(no_redis: str) -> None:
    clock = FakeClock()
    async with a_limiter(no_redis, clock=clock) as limiter:
        for key in ("k1", "k2"):
            assert (await limiter.take("acme", [a_take(key=key)])).source == "local"
        assert len(limiter._held) == 2
        clock.now_s += 5
        limiter._let_go()  # as its timer does
        assert not limiter._held


async def test_a_request_without_limits_is_admitted_without_asking_anyone(no_redis: str) -> None:
    async with a_limiter(no_redis) as limiter:
        decision = await limiter.take("acme", [])
    assert (decision.admitted, decision.states, decision.tightest) == (True, (), None)


async def test_it_admits_the_burst_then_refuses_and_says_when_to_come_back(limiter: Limiter) -> None:
    first, second, third = [await limiter.take("acme", [a_take()]) for _ in range(3)]
    assert [each.admitted for each in (first, second, third)] == [True, True, False]
    assert [each.source for each in (first, second, third)] == ["store"] * 3
    (state,) = first.states
    assert (state.name, state.limit, state.period_s, state.burst) == ("per-key", 2, 60, 2)
    assert (state.remaining, state.admitted) == (1, True)
    assert state.reset_after_s == pytest.approx(30, abs=0.5)
    assert first.retry_after_s == 0
    assert (third.states[0].remaining, third.states[0].admitted) == (0, False)
    assert third.retry_after_s == pytest.approx(30, abs=0.5)
    assert third.states[0].reset_after_s == pytest.approx(60, abs=0.5)


async def test_callers_and_tenants_do_not_share_a_count(limiter: Limiter) -> None:
    take = a_take(count=1)
    for tenant, key in [("acme", "k1"), ("acme", "k2"), ("globex", "k1")]:
        assert (await limiter.take(tenant, [take._replace(key=key)])).admitted
        assert not (await limiter.take(tenant, [take._replace(key=key)])).admitted


async def test_one_limit_that_refuses_leaves_the_others_untouched(limiter: Limiter) -> None:
    wide, narrow = a_take("wide", count=3), a_take("narrow", count=1)
    assert (await limiter.take("acme", [wide, narrow])).admitted
    for _ in range(5):
        refused = await limiter.take("acme", [wide, narrow])
        assert not refused.admitted
        assert [(state.name, state.remaining, state.admitted) for state in refused.states] == [
            ("wide", 2, True),
            ("narrow", 0, False),
        ]
        assert refused.tightest == refused.states[1]
    assert (await limiter.take("acme", [wide])).states[0].remaining == 1


async def test_the_tightest_limit_is_the_one_with_the_least_left(limiter: Limiter) -> None:
    decision = await limiter.take("acme", [a_take("wide", count=9), a_take("narrow", count=3)])
    assert decision.tightest is not None
    assert decision.tightest.name == "narrow"


async def test_a_cost_counts_as_so_many_takes(limiter: Limiter) -> None:
    take = a_take(count=5)._replace(cost=3)
    assert (await limiter.take("acme", [take])).states[0].remaining == 2
    assert not (await limiter.take("acme", [take])).admitted


async def test_whatever_a_client_sends_as_key_stays_bounded_and_apart(limiter: Limiter, redis_url: str) -> None:
    for key in ("", "{x}", "a b\r\n", "\udcff", "x" * 10_000, "x" * 10_001):
        assert (await limiter.take("acme", [a_take(key=key, count=1)])).admitted
        assert not (await limiter.take("acme", [a_take(key=key, count=1)])).admitted
    with redis.Redis.from_url(redis_url) as raw:
        names = raw.keys("{rl:acme}:*")
    assert len(names) == 6
    assert max(len(name) for name in names) < 100


async def test_eight_workers_together_never_exceed_one_limit(redis_url: str) -> None:
    take = Take("hot", "k", 500, 1.0, 20)
    async with AsyncExitStack() as stack:
        limiters = [await stack.enter_async_context(a_limiter(redis_url)) for _ in range(8)]
        admitted = 0

        async def hammer(limiter: Limiter) -> None:
            nonlocal admitted
            for _ in range(150):
                decision = await limiter.take("acme", [take])
                if decision.source == "store":  # on a busy machine a deadline may pass: that one was counted locally
                    admitted += decision.admitted

        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await asyncio.gather(*(hammer(limiter) for limiter in limiters))
        window_s = loop.time() - began_s
    assert 20 <= admitted <= 20 + 500 * window_s
    assert admitted < 8 * 150


@pytest.mark.parametrize(
    ("losses", "admitted", "source", "states"),
    [
        (("open",), True, "open", 0),
        (("open", "open"), True, "open", 0),
        (("closed",), False, "closed", 0),
        (("local", "closed", "open"), False, "closed", 0),
        (("local",), True, "local", 1),
        (("local", "open"), True, "local", 1),
    ],
)
async def test_without_redis_each_limit_does_what_it_declares(
    no_redis: str, losses: tuple[str, ...], admitted: bool, source: str, states: int
) -> None:
    takes = [a_take(f"l{n}", loss=loss) for n, loss in enumerate(losses)]
    async with a_limiter(no_redis) as limiter:
        decision = await limiter.take("acme", takes)
    assert (decision.admitted, decision.source, len(decision.states)) == (admitted, source, states)
    assert (decision.retry_after_s > 0) is (not admitted)


async def test_counted_locally_a_limit_is_shared_among_the_live_workers(no_redis: str) -> None:
    clock, workers = FakeClock(), 4
    async with a_limiter(no_redis, lambda: workers, clock) as limiter:
        take = a_take(count=8, period_s=8)
        votes = [(await limiter.take("acme", [take])).admitted for _ in range(4)]
        assert votes == [True, True, False, False]
        refused = await limiter.take("acme", [take])
        assert refused.retry_after_s == pytest.approx(4)
        clock.now_s += 4
        assert (await limiter.take("acme", [take])).admitted
        assert not (await limiter.take("acme", [take])).admitted
        workers = 0  # not known yet: then we are alone
        clock.now_s += 8
        assert (await limiter.take("acme", [take])).states[0].remaining == 1  # what others had may be spent
        clock.now_s += 8
        assert (await limiter.take("acme", [take])).states[0].remaining == 7


async def test_local_counts_are_all_or_none(no_redis: str) -> None:
    async with a_limiter(no_redis, clock=FakeClock()) as limiter:
        wide, narrow = a_take("wide", count=9), a_take("narrow", count=1)
        assert (await limiter.take("acme", [wide, narrow])).admitted
        assert not (await limiter.take("acme", [wide, narrow])).admitted
        assert (await limiter.take("acme", [wide])).states[0].remaining == 7


async def test_a_stopped_redis_costs_no_request_time_and_is_used_again_within_a_second_or_so(
    own_redis: RedisProcess,
) -> None:
    async with a_limiter(own_redis.url) as limiter:
        assert (await limiter.take("acme", [a_take(count=100)])).source == "store"
        await asyncio.to_thread(own_redis.stop)
        async with timing.within(2):
            while not limiter.is_store_lost:
                decision, took_s = await timed(limiter, a_take(count=100_000))
                assert (decision.source, decision.admitted) == ("local", True)
                assert took_s < AT_ONCE_S
        await asyncio.to_thread(own_redis.start)
        async with timing.within(3):
            await until_asked(limiter)
        assert not limiter.is_store_lost


@pytest.mark.fifty_ms
@timing.steadily
async def test_a_frozen_redis_costs_50_ms_five_times_and_then_nothing(own_redis: RedisProcess) -> None:
    clock = FakeClock()
    async with a_limiter(own_redis.url, clock=clock) as limiter:
        await limiter.take("acme", [a_take(count=1000)])
        own_redis.pause()
        try:
            await five_wait_and_then_nobody(limiter, clock)
        finally:
            own_redis.resume()


async def five_wait_and_then_nobody(limiter: Limiter, clock: FakeClock) -> None:
    for _ in range(5):
        assert not limiter.is_store_lost
        decision, took_s = await timed(limiter, a_take(count=1000))
        assert (decision.source, took_s < AT_ONCE_S) == ("local", True)
        clock.now_s += 0.1
    assert limiter.is_store_lost
    calls = limiter.calls
    assert {(await limiter.take("acme", [a_take(count=1000)])).source for _ in range(100)} == {"local"}
    assert limiter.calls == calls


@pytest.mark.fifty_ms
async def test_many_requests_at_once_on_a_frozen_redis_wait_50_ms_together(own_redis: RedisProcess) -> None:
    async with a_limiter(own_redis.url) as limiter:
        await limiter.take("acme", [a_take()])
        own_redis.pause()
        try:
            outcomes = await asyncio.gather(*(timed(limiter, a_take(count=1000)) for _ in range(200)))
        finally:
            own_redis.resume()
    assert {decision.source for decision, _ in outcomes} == {"local"}
    assert max(took_s for _, took_s in outcomes) < 1.0  # one after the other it would be ten


@pytest.mark.fifty_ms
async def test_a_blackhole_costs_50_ms_five_times_and_then_nothing() -> None:
    clock = FakeClock()
    with socket.create_server(("127.0.0.1", 0)) as server:
        async with a_limiter(f"redis://127.0.0.1:{server.getsockname()[1]}", clock=clock) as limiter:
            await five_wait_and_then_nobody(limiter, clock)


async def test_an_open_breaker_probes_once_a_second_and_closes_with_the_first_success(own_redis: RedisProcess) -> None:
    clock = FakeClock()
    async with a_limiter(own_redis.url, clock=clock) as limiter:
        await asyncio.to_thread(own_redis.stop)
        for _ in range(5):
            await limiter.take("acme", [a_take(count=1000)])
            clock.now_s += 0.1
        await asyncio.to_thread(own_redis.start)
        assert (await limiter.take("acme", [a_take(count=1000)])).source == "local"
        clock.now_s += 1
        assert (await limiter.take("acme", [a_take(count=1000)])).source == "store"
        assert (await limiter.take("acme", [a_take(count=1000)])).source == "store"


@pytest.mark.fifty_ms
async def test_a_cancelled_probe_locks_nothing(own_redis: RedisProcess) -> None:
    clock = FakeClock()
    async with a_limiter(own_redis.url, clock=clock) as limiter:
        own_redis.pause()
        for _ in range(5):
            await limiter.take("acme", [a_take(count=1000)])
        clock.now_s += 1
        probe = asyncio.create_task(limiter.take("acme", [a_take(count=1000)]))
        await asyncio.sleep(0)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        own_redis.resume()
        clock.now_s += 1
        assert (await limiter.take("acme", [a_take(count=1000)])).source == "store"


async def test_a_count_that_somebody_damaged_falls_back_to_the_local_one(limiter: Limiter, client: Client) -> None:
    await client.ask("LPUSH", keys.limit("acme", "per-key", "k1"), "x", is_write=True)
    assert (await limiter.take("acme", [a_take()])).source == "local"
    assert (await limiter.take("globex", [a_take()])).source == "store"


async def test_a_limit_that_cannot_be_counted_is_the_callers_error(limiter: Limiter) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        await limiter.take("acme", [a_take(count=1)._replace(cost=2)])


@pytest.mark.fifty_ms
async def test_who_has_used_all_of_a_limit_is_given_no_more_by_one_outage_after_the_other(
    own_redis: RedisProcess,
) -> None:
    clock = FakeClock()
    async with a_limiter(own_redis.url, clock=clock) as limiter:
        for take in (a_take(count=3, period_s=3600), a_take("month", count=3)._replace(window="month")):
            assert [(await limiter.take("acme", [take])).admitted for _ in range(4)] == [True, True, True, False]
        clock.now_s += 5
        limiter._let_go()  # as a worker does with what nobody has asked for
        assert not limiter._held
        for _ in range(3):
            own_redis.pause()
            for take in (a_take(count=3, period_s=3600), a_take("month", count=3)._replace(window="month")):
                decision = await limiter.take("acme", [take])
                assert (decision.source, decision.admitted) == ("local", False)
            own_redis.resume()
            await until_asked(limiter)
            clock.now_s += 5


async def until_asked(limiter: Limiter) -> None:
    async with asyncio.timeout(5):
        while (await limiter.take("acme", [a_take("other", count=100_000)])).source != "store":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
