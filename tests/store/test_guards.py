"""store/guards.py: requests under way at once, counted across the fleet, whatever becomes of workers and of Redis."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from store import guards, keys
from store.client import Client, connect
from store.decisions import Take
from store.embedded import RedisProcess
from store.guards import LIFE_S, Entry, Guards, Place
from store.limiter import Limiter
from tests.fakes.waiting import until

THREE = Place("busy", "k", 3)


@asynccontextmanager
async def some_guards(url: str, worker: str = "n/0/1", workers: int = 1) -> AsyncIterator[Guards]:
    async with connect(url, "data") as client:
        opened = Guards(client, worker, lambda: workers)
        try:
            yield opened
        finally:
            await opened.aclose()


async def enter(guards: Guards, times: int, place: Place = THREE) -> list[bool]:
    return [(await guards.enter("acme", place)).admitted for _ in range(times)]


def leave(guards: Guards, times: int, place: Place = THREE) -> None:
    for _ in range(times):
        guards.leave("acme", place)


async def counted(client: Client, place: Place = THREE) -> dict[bytes, int]:
    found = await client.ask("HGETALL", keys.places("acme", place.name, place.key))
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    return {worker: int(value.split()[0]) for worker, value in pairs}


async def test_so_many_are_admitted_at_once_and_one_more_when_one_has_left(redis_url: str) -> None:
    async with some_guards(redis_url) as one:
        assert await enter(one, 4) == [True, True, True, False]
        leave(one, 1)
        assert await enter(one, 2) == [True, False]
        assert one.running == 3


async def test_what_is_left_is_told(redis_url: str) -> None:
    async with some_guards(redis_url, "n/0/1") as one, some_guards(redis_url, "n/1/2") as other:
        assert [(await one.enter("acme", THREE)).left for _ in range(2)] == [2, 1]
        assert await other.enter("acme", THREE) == (True, 0, "store")
        assert await other.enter("acme", THREE) == (False, 0, "store")


async def test_callers_tenants_and_limits_have_places_of_their_own(redis_url: str) -> None:
    async with some_guards(redis_url) as one:
        for tenant, place in (("acme", THREE), ("globex", THREE), ("acme", THREE._replace(key="k2"))):
            assert [(await one.enter(tenant, place)).admitted for _ in range(4)] == [True, True, True, False]


async def test_requests_that_come_together_are_counted_by_a_few_calls(redis_url: str) -> None:
    wide = Place("wide", "k", 1000)
    async with some_guards(redis_url) as one:
        entries = await asyncio.gather(*(one.enter("acme", wide) for _ in range(1200)))
        assert sum(entry.admitted for entry in entries) == 1000
        assert one.calls <= 5


async def test_a_steady_stream_of_requests_takes_few_calls(redis_url: str) -> None:
    async with some_guards(redis_url) as one:
        wide = THREE._replace(most=30)
        for _ in range(1000):
            assert (await one.enter("acme", wide)).admitted
            leave(one, 1, wide)
        assert one.calls <= 20


async def test_workers_share_the_places_and_never_have_more(redis_url: str) -> None:
    place, most, running = Place("hot", "k", 10), 0, 0
    names = [f"n/{n}/{n}" for n in range(4)]
    opened = [some_guards(redis_url, name) for name in names]
    workers = [await each.__aenter__() for each in opened]

    async def serve(worker: Guards) -> None:
        nonlocal most, running
        for turn in range(60):
            if (await worker.enter("acme", place)).admitted:
                running += 1
                most = max(most, running)
                await asyncio.sleep(0.001 * (turn % 3))
                running -= 1
                worker.leave("acme", place)
            await asyncio.sleep(0.002)

    try:
        await asyncio.gather(*(serve(worker) for worker in workers for _ in range(6)))
    finally:
        for each in opened:
            await each.__aexit__(None, None, None)
    assert most == 10
    async with connect(redis_url, "data") as client:
        assert await counted(client, place) == {}


async def test_a_place_that_nobody_takes_again_is_free_for_others_in_a_moment(redis_url: str, client: Client) -> None:
    many = THREE._replace(most=30)
    async with some_guards(redis_url) as one:
        await enter(one, 3, many)
        leave(one, 2, many)
        assert (await counted(client))[b"n/0/1"] == 3
        await until_counted(client, {b"n/0/1": 1})
        leave(one, 1, many)
        await until_counted(client, {})


async def test_one_request_after_the_other_is_never_refused_whichever_worker_it_comes_to(redis_url: str) -> None:
    one_place = Place("one", "k", 1)
    async with some_guards(redis_url, "n/0/1") as one, some_guards(redis_url, "n/1/2") as other:
        for turn in range(200):
            worker = (one, other)[turn % 2]
            assert (await worker.enter("acme", one_place)).admitted
            leave(worker, 1, one_place)


async def until_counted(client: Client, expected: dict[bytes, int], place: Place = THREE) -> None:
    async with asyncio.timeout(5):
        while await counted(client, place) != expected:  # noqa: ASYNC110 - Redis does not say when it changes
            await asyncio.sleep(0.005)


async def test_the_places_of_a_worker_that_dies_are_free_after_their_life(
    redis_url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "LIFE_S", 0.2)
    async with some_guards(redis_url, "n/1/2") as other:
        async with connect(redis_url, "data") as link:
            dying = Guards(link, "n/0/1", lambda: 2)
            assert await enter(dying, 3) == [True] * 3
            assert await enter(other, 1) == [False]
            for timer in (dying._trimming, dying._renewing):
                if timer is not None:
                    timer.cancel()
        await asyncio.sleep(0.25)
        assert await enter(other, 4) == [True, True, True, False]
    assert LIFE_S == 5.0


async def test_what_goes_on_for_long_is_counted_all_the_while(
    redis_url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "LIFE_S", 0.4)
    monkeypatch.setattr(guards, "RENEW_S", 0.1)
    async with some_guards(redis_url, "n/0/1") as one, some_guards(redis_url, "n/1/2") as other:
        assert await enter(one, 3) == [True] * 3
        for _ in range(8):
            await asyncio.sleep(0.1)
            assert await enter(other, 1) == [False]


async def refused_once(guards: Guards, place: Place) -> asyncio.Task[Entry]:
    """Begin to enter where no place is free, up to where it waits for what may be on its way."""
    before = guards.calls
    entering = asyncio.create_task(guards.enter("acme", place))
    await until(lambda: guards.calls > before and not any(room.is_asking for room in guards._rooms.values()))
    return entering


ONE = Place("one", "k", 1)


async def test_who_is_refused_asks_once_more_in_a_moment(
    redis_url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "AGAIN_S", 0.5)
    async with some_guards(redis_url, "n/0/1") as one, some_guards(redis_url, "n/1/2") as other:
        assert await enter(one, 1, ONE) == [True]
        entering = await refused_once(other, ONE)
        leave(one, 1, ONE)
        await until_counted(client, {}, ONE)
        assert await entering == (True, 0, "store")


async def test_who_asks_once_more_is_counted_although_the_room_was_forgotten_meanwhile(
    redis_url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "AGAIN_S", 0.5)
    monkeypatch.setattr(guards, "LIFE_S", 0.4)
    monkeypatch.setattr(guards, "RENEW_S", 0.1)
    async with some_guards(redis_url, "n/0/1") as one, some_guards(redis_url, "n/1/2") as other:
        assert await enter(one, 1, ONE) == [True]
        entering = await refused_once(other, ONE)
        await until(lambda: not other._rooms)  # nobody is in it
        leave(one, 1, ONE)
        assert (await entering).admitted
        assert other.running == 1
        await asyncio.sleep(0.6)
        assert await enter(one, 1, ONE) == [False]
        leave(other, 1, ONE)
        await until_counted(client, {}, ONE)


async def test_no_room_is_forgotten_that_is_counted_or_waited_in(
    redis_url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "LIFE_S", 60.0)
    many = THREE._replace(most=30)
    async with some_guards(redis_url) as one:
        entering = asyncio.create_task(one.enter("acme", many))
        await asyncio.sleep(0)  # it waits
        one._renew()  # as its timer does
        assert (await entering).admitted
        assert one.running == 1
        leave(one, 1, many)
        assert (await counted(client))[b"n/0/1"] == 1
        one._renew()
        await until_counted(client, {})


async def test_what_began_without_redis_in_a_room_of_its_own_is_counted_when_it_is_back(
    own_redis: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guards, "RENEW_S", 0.1)
    async with some_guards(own_redis.url) as one, connect(own_redis.url, "control") as client:
        await asyncio.to_thread(own_redis.stop)
        while one._may_ask():
            await enter(one, 1, ONE._replace(on_store_loss="closed"))
        await until(lambda: not one._rooms)
        assert await enter(one, 2) == [True, True]
        await asyncio.to_thread(own_redis.start)
        await until_counted(client, {b"n/0/1": 2})


async def test_closing_leaves_nobody_waiting(redis_url: str) -> None:
    async with some_guards(redis_url) as one:
        entering = [asyncio.create_task(one.enter("acme", THREE)) for _ in range(5)]
        await asyncio.sleep(0)
        await one.aclose()
        async with asyncio.timeout(5):
            assert sum(entry.admitted for entry in await asyncio.gather(*entering)) == 3


async def test_who_goes_while_waiting_leaves_no_place_taken(own_redis: RedisProcess) -> None:
    async with some_guards(own_redis.url) as one:
        assert await enter(one, 1) == [True]
        own_redis.pause()
        waiting = [asyncio.create_task(one.enter("acme", THREE)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        own_redis.resume()
        assert (await waiting[1]).admitted
        await asyncio.gather(waiting[0], return_exceptions=True)
        await until(lambda: one.running == 2)
        assert await enter(one, 2) == [True, False]


@pytest.mark.parametrize(
    ("loss", "votes", "source"),
    [("local", [True, True, False], "local"), ("open", [True] * 3, "open"), ("closed", [False] * 3, "closed")],
)
async def test_without_redis_a_limit_does_what_it_declares(loss: str, votes: list[bool], source: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{unused.getsockname()[1]}"
    place = Place("busy", "k", 8, loss)
    async with some_guards(url, workers=4) as one:
        entries = [await one.enter("acme", place) for _ in range(3)]
        assert [entry.admitted for entry in entries] == votes
        assert {entry.source for entry in entries} == {source}
        if loss == "local":
            leave(one, 1, place)
            assert await enter(one, 2, place) == [True, False]


async def test_what_was_admitted_without_redis_is_counted_when_it_is_back(own_redis: RedisProcess) -> None:
    async with some_guards(own_redis.url) as one, connect(own_redis.url, "control") as client:
        assert await enter(one, 1) == [True]
        await asyncio.to_thread(own_redis.stop)
        assert await enter(one, 2) == [True, True]
        await asyncio.to_thread(own_redis.start)
        await until_counted(client, {b"n/0/1": 3})
        assert await enter(one, 1) == [False]


async def test_a_limit_that_becomes_one_of_another_kind_is_counted_anew_and_by_redis(redis_url: str) -> None:
    rate = Take("busy", "k", 5, 60, 5)
    async with some_guards(redis_url) as one, connect(redis_url, "data") as link:
        limiter = Limiter(link, lambda: 1)
        first = await limiter.take("acme", [rate])
        entry = await one.enter("acme", THREE)
        assert (first.source, entry.source, entry.left) == ("store", "store", 2)
        # the request that is under way is counted on while the limit is a rate again, and neither takes from the other
        again = await limiter.take("acme", [rate])
        assert (again.source, again.states[0].remaining) == ("store", 3)
        await limiter.aclose()
