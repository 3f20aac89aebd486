"""Redis or the OpenID provider goes: who is logged in goes on for the time that is stated, then a 503, never a 401."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
import pytest_asyncio
import redis.asyncio

from edge.client_edge.sessions import parts
from edge.client_edge.sessions.known import GRACE_S, KnownSessions
from store.embedded import RedisProcess
from tests.fakes.edges import Answer, RunningEdge, running_edge
from tests.fakes.openid import RunningProvider, running_provider
from tests.fakes.origins import RunningOrigin
from tests.fakes.visitors import LOGIN, LOGOUT, PAGE, SECRETS, Visitor, answered, document, operators
from tests.fakes.waiting import until


@pytest.fixture
def provider() -> Iterator[RunningProvider]:
    with running_provider() as running:
        yield running


class Clock:
    """The worker's idea of time for sessions, which a test can put forward."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(parts, "KnownSessions", partial(KnownSessions, now_s=clock))
    return clock


@pytest_asyncio.fixture
async def edge(
    own_redis: RedisProcess, provider: RunningProvider, clock: Clock, origin: RunningOrigin
) -> AsyncIterator[RunningEdge]:
    async with running_edge(own_redis.url, SECRETS, **operators(provider)) as running:
        await running.put(document(origin.url))
        yield running


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["error"]


@pytest.mark.fifty_ms
@pytest.mark.parametrize("fault", ["stop", "pause"])
async def test_without_redis_a_known_session_goes_on_for_five_minutes_and_an_unknown_one_is_a_503(
    edge: RunningEdge, own_redis: RedisProcess, clock: Clock, fault: str
) -> None:
    visitor, unknown = Visitor(edge), Visitor(edge)
    await visitor.log_in()
    await unknown.log_in("bob")
    assert (await visitor.get("/echo")).status == 200
    under_way = await answered(await (other := Visitor(edge)).begin())
    getattr(own_redis, fault)()
    for _ in range(4):
        clock.ahead_s += GRACE_S / 4 - 5
        assert (await visitor.get("/echo")).status == 200
    for headers in (PAGE, {}):  # a person is not sent to log in either: that would lead nowhere
        answer = await unknown.get("/echo", **headers)
        assert code_of(answer) == (503, "store_down")
        assert int(answer.headers["retry-after"]) >= 1
    assert code_of(await other.get(under_way)) == (503, "store_down")
    assert code_of(await visitor.ask("POST", LOGOUT)) == (503, "store_down")
    assert (await Visitor(edge).get("/echo")).status == 401  # who shows nothing needs no store
    clock.ahead_s += 30
    assert code_of(await visitor.get("/echo")) == (503, "store_down")
    if fault == "stop":
        own_redis.start()
    else:
        own_redis.resume()

    async with asyncio.timeout(20):
        while (await visitor.get("/echo")).status != 200:
            clock.ahead_s += 1.0
    assert (await unknown.get("/echo")).status == 200


async def test_an_emptied_redis_is_not_believed_about_sessions_either(
    edge: RunningEdge, own_redis: RedisProcess, clock: Clock
) -> None:
    visitor, unknown = Visitor(edge), Visitor(edge)
    await visitor.log_in()
    await unknown.log_in("bob")
    assert (await visitor.get("/echo")).status == 200
    under_way = await answered(await (other := Visitor(edge)).begin())
    async with redis.asyncio.Redis.from_url(own_redis.url) as raw:
        await raw.flushall()
        await until(lambda: edge.worker.watcher.alarm)
        for _ in range(4):
            clock.ahead_s += GRACE_S / 4 - 5
            assert (await visitor.get("/echo")).status == 200
        for headers in (PAGE, {}):
            assert code_of(await unknown.get("/echo", **headers)) == (503, "store_down")
        assert code_of(await other.get(under_way)) == (503, "store_down")
        assert code_of(await visitor.ask("POST", LOGOUT)) == (503, "store_down")
        assert not await raw.keys("{sess:*")  # who writes into a store that is not followed loses it with the store
        clock.ahead_s += 30
        assert code_of(await visitor.get("/echo")) == (503, "store_down")


async def test_a_session_asked_for_before_a_worker_knows_that_redis_was_emptied_is_not_over_either(
    edge: RunningEdge, own_redis: RedisProcess, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor, unknown = Visitor(edge), Visitor(edge)
    await visitor.log_in()
    await unknown.log_in("bob")
    assert (await visitor.get("/echo")).status == 200
    monkeypatch.setattr(edge.worker.watcher, "catch_up", partial(asyncio.sleep, 0))  # so that it does not know
    async with redis.asyncio.Redis.from_url(own_redis.url) as raw:
        await raw.flushall()
    assert code_of(await unknown.get("/echo")) == (503, "store_down")
    clock.ahead_s += GRACE_S / 2
    assert (await visitor.get("/echo")).status == 200
    assert edge.worker.watcher.alarm is None


async def test_without_the_provider_nobody_logs_in_and_nobody_is_logged_out(
    edge: RunningEdge, provider: RunningProvider
) -> None:
    visitor = Visitor(edge)
    await visitor.log_in()
    under_way = await answered(await (other := Visitor(edge)).begin())
    await provider.tell(status=503)
    assert (await visitor.get("/echo")).status == 200
    answer = await other.get(under_way)
    assert code_of(answer) == (503, "auth_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    await provider.tell()
    assert (await other.log_in()).status == 302


async def test_a_provider_that_was_never_there_is_asked_once_in_a_while(
    own_redis: RedisProcess, provider: RunningProvider, origin: RunningOrigin
) -> None:
    await provider.tell(status=500)
    async with running_edge(own_redis.url, SECRETS, **operators(provider)) as edge:
        await edge.put(document(origin.url))
        answers = await asyncio.gather(*(Visitor(edge).get(LOGIN) for _ in range(10)))
        assert {code_of(answer) for answer in answers} == {(503, "auth_unavailable")}
        assert {answer.headers["retry-after"] for answer in answers} == {"5"}
        page = await Visitor(edge).visit(LOGIN)
        assert (page.status, b"Not possible at the moment" in page.body) == (503, True)
        assert (await provider.seen())["described"] == 1
