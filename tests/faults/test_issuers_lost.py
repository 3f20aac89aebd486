"""Whoever tells who calls goes: what is known goes on for the time that is stated, then a 503, never a 401.

Of Redis and sessions: `test_sessions_lost.py`; of names that come to lead inside: `test_names_that_move.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import pytest

import edge.assembly
from edge.client_edge.key_sets import STALE_S
from edge.upstreams.names import Addresses, Resolver
from tests.fakes.edges import running_edge
from tests.fakes.issuers import Clock, running_issuer
from tests.fakes.openid import running_provider
from tests.fakes.origins import (
    CLOSE,
    HANG,
    READ_HEAD,
    RESET,
    RunningOrigin,
    Send,
    refusing_port,
    running_evil_origin,
)
from tests.fakes.places import WAYS, ask, naming, told
from tests.fakes.visitors import LOGIN, SECRETS, Visitor, answered, document, operators
from tests.fakes.waiting import until

LOST = (503, "auth_unavailable")
FAULTS = {
    "resets": (RESET,),
    "closes": (READ_HEAD, CLOSE),
    "says nothing": (READ_HEAD, HANG),
    "speaks something else": (READ_HEAD, Send(b"220 mail.test ESMTP\r\n"), CLOSE),
    "breaks off": (READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), CLOSE),
}


@contextmanager
def no_dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def look_up(_: str) -> Addresses:
        raise OSError("no such name")

    with monkeypatch.context() as patch:
        patch.setattr(edge.assembly, "Resolver", partial(Resolver, look_up))
        yield


@asynccontextmanager
async def service(fault: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Give the place of a service that cannot be asked."""
    if fault == "refuses":
        with refusing_port() as port:
            yield f"http://127.0.0.1:{port}"
    elif fault == "has no address":
        with no_dns(monkeypatch):
            yield "https://id.test"
    else:
        async with running_evil_origin(*FAULTS[fault]) as evil:
            yield evil.url


@pytest.mark.parametrize("fault", ["refuses", "has no address", *FAULTS])
async def test_without_whoever_tells_who_calls_the_answer_is_a_503_in_each_way(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    async with service(fault, monkeypatch) as place, running_edge(redis_url, SECRETS) as edge:
        ways = [way for way in WAYS if way != "upstream"]
        for way in ways:
            await edge.put(naming(way, place, way))
        answers = await asyncio.gather(*(ask(edge.port, way, way) for way in ways))
        assert {way: told(answer) for way, answer in zip(ways, answers, strict=True)} == dict.fromkeys(ways, LOST)
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)


async def test_without_the_issuer_a_token_of_a_new_key_cannot_be_judged_and_what_needs_no_issuer_is(
    redis_url: str, origin: RunningOrigin, clock: Clock
) -> None:
    async with running_edge(redis_url) as edge, running_issuer() as issuer:
        plain = document(origin.url, route={"auth": ["users", "keys"]})
        await edge.put({**plain, "auth": {"users": issuer.method(), "keys": {"type": "api_key"}}})
        key = await edge.put_key("acme")
        visitor = Visitor(edge)
        known = f"Bearer {issuer.token()}"
        assert (await visitor.get("/echo", Authorization=known)).status == 200
        await issuer.stop()
        clock.now_s += 31
        issuer.rotate()
        unknown = f"Bearer {issuer.token()}"
        assert (await visitor.get("/echo", Authorization=known)).status == 200
        for headers in ({}, {"X_API_Key": "wrong"}):  # nor does a wrong key make of it what is known to be wrong
            assert told(await visitor.get("/echo", Authorization=unknown, **headers)) == LOST
        assert (await visitor.get("/echo", Authorization=unknown, X_API_Key=key.text)).status == 200
        for shown in ("Bearer nonsense", f"Bearer {issuer.token(exp=1)}"):
            assert told(await visitor.get("/echo", Authorization=shown)) == (401, "unauthorized")


async def test_when_the_provider_has_ended_a_session_goes_on_to_its_end_and_only_logins_fail(
    redis_url: str, origin: RunningOrigin, clock: Clock
) -> None:
    with running_provider() as provider:
        async with running_edge(redis_url, SECRETS, **operators(provider)) as edge:
            await edge.put(document(origin.url, idle_timeout="3s", lifetime="3s"))
            visitor, under_way = Visitor(edge), Visitor(edge)
            back = await answered(await under_way.begin())
            await visitor.log_in()
            assert (await visitor.get("/echo")).status == 200
            provider.end()
            assert told(await under_way.get(back)) == LOST
            assert (await visitor.get("/echo")).status == 200
            clock.now_s += STALE_S
            assert (await visitor.get("/echo")).status == 200
            assert told(await Visitor(edge).get(LOGIN)) == LOST

            async def is_over() -> bool:
                return (await visitor.visit("/echo")).status == 302

            await until(is_over, 10)
            page = await visitor.visit(LOGIN)
            assert (page.status, b"Not possible at the moment" in page.body) == (503, True)
