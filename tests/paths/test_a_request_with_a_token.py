"""A request with a JSON Web Token, end to end: one edge worker, a real Redis, a real issuer, a real target."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

import edge.assembly
from edge.client_edge.key_sets import KeySets
from store.embedded import RedisProcess
from tests.fakes.edges import Answer, RunningEdge, running_edge
from tests.fakes.issuers import Clock, Issuer, running_issuer, signing_key
from tests.fakes.origins import RunningOrigin


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which the worker says how old key sets are."""
    clock = Clock(float(int(time.monotonic())))  # whole seconds, of which sums are exact
    monkeypatch.setattr(edge.assembly, "KeySets", functools.partial(KeySets, now_s=clock))
    return clock


@pytest_asyncio.fixture
async def edge_node(redis_url: str, clock: Clock) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url) as running:
        yield running


@pytest_asyncio.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with running_issuer() as running:
        yield running


def document(origin: RunningOrigin, auth: dict[str, Any], **route: Any) -> dict[str, Any]:
    limits = {"per-plan": {"rate": "1/h", "burst": 2, "by": {"claim": "plan"}}}
    limits["per-user"] = {"rate": "1/h", "burst": 2, "by": "subject"}
    return {
        "tenant": "acme",
        "domains": [{"host": "shop.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": [origin.url]}},
        "auth": auth,
        "limits": limits,
        "routes": [{"name": "all", "path": "/*", "upstream": "app", "auth": list(auth), **route}],
    }


async def get(edge_node: RunningEdge, token: str, **headers: str) -> Answer:
    return await edge_node.get("/echo", Authorization=f"Bearer {token}", **headers)


def seen(answer: Answer) -> dict[str, str]:
    """The header fields that the target saw, by lower-case name."""
    assert answer.status == 200, answer
    return {name.lower(): value for name, value in json.loads(answer.body)["headers"]}


def is_lost(answer: Answer) -> bool:
    body = json.loads(answer.body)
    return (answer.status, body["error"]) == (503, "auth_unavailable") and int(answer.headers["retry-after"]) >= 1


async def test_a_token_opens_a_route_and_stays_at_the_edge(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin
) -> None:
    await edge_node.put(document(origin, {"users": issuer.method()}))
    for _ in range(3):
        headers = seen(await get(edge_node, issuer.token(sub="ü7"), X_Portico_Subject="root"))
        assert headers["x-portico-subject"] == "%C3%BC7"
        assert "authorization" not in headers
    assert issuer.fetches == 1
    await edge_node.put(document(origin, {"users": issuer.method()}, keep_credentials=True))
    assert seen(await get(edge_node, issuer.token()))["authorization"].startswith("Bearer ")
    assert issuer.fetches == 1  # a new document that names the same issuer has its keys


async def test_what_is_no_good_token_is_a_401_that_says_how_to_come_back(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin
) -> None:
    await edge_node.put(document(origin, {"users": issuer.method()}))
    now_s = int(time.time())
    wrong = [
        issuer.token(exp=now_s - 70),
        issuer.token(nbf=now_s + 70),
        issuer.token(aud="other"),
        issuer.token(iss="https://other.test/"),
        issuer.token({"kid": "../k1"}),
        issuer.token({"crit": ["exp"]}),
        signing_key("other").sign(issuer.claims(), kid="k1"),
        issuer.token()[:-8] + "AAAAAAAA",
        "nonsense",
        "x" * 8000,
    ]
    for token in wrong:
        answer = await get(edge_node, token)
        assert (answer.status, json.loads(answer.body)["error"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == 'Bearer realm="portico", error="invalid_token"'
    without = await edge_node.get("/echo")
    assert (without.status, without.headers["www-authenticate"]) == (401, 'Bearer realm="portico"')
    for token in (issuer.token(exp=now_s - 50), issuer.token(nbf=now_s + 50)):
        assert (await get(edge_node, token)).status == 200


async def test_a_key_or_a_token_of_either_issuer_opens_the_same_route(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin
) -> None:
    async with running_issuer() as second:
        second.rotate(keep=False)
        auth = {"keys": {"type": "api_key"}, "users": issuer.method(), "staff": second.method()}
        await edge_node.put(document(origin, auth))
        key = await edge_node.put_key("acme")
        assert seen(await get(edge_node, issuer.token(sub="a")))["x-portico-subject"] == "a"
        assert seen(await get(edge_node, second.token(sub="b")))["x-portico-subject"] == "b"
        assert seen(await edge_node.get("/echo", X_API_Key=key.text))["x-portico-subject"] == key.id
        challenges = (await get(edge_node, "nonsense")).headers["www-authenticate"]
        assert challenges == 'ApiKey header="X-API-Key", Bearer realm="portico", error="invalid_token"'


async def test_what_is_claimed_of_the_caller_counts_and_is_told(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin
) -> None:
    rules = {"request": {"set": {"X-Plan": {"claim": "plan"}, "X-Env": "prod"}}}
    await edge_node.put(document(origin, {"users": issuer.method()}, limits=["per-plan"], headers=rules))
    told = [seen(await get(edge_node, issuer.token(sub=sub, plan="gold"), X_Plan="free")) for sub in "ab"]
    assert [(each["x-plan"], each["x-env"]) for each in told] == [("gold", "prod")] * 2
    assert (await get(edge_node, issuer.token(sub="c", plan="gold"))).status == 429
    assert seen(await get(edge_node, issuer.token(sub="c", plan=["silver"])))["x-plan"] == '["silver"]'
    assert "x-plan" not in seen(await get(edge_node, issuer.token(sub="a"), X_Plan="free"))


async def test_a_limit_by_subject_counts_each_caller(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin
) -> None:
    await edge_node.put(document(origin, {"users": issuer.method()}, limits=["per-user"]))
    statuses = [(await get(edge_node, issuer.token(sub=sub))).status for sub in "aaab"]
    assert statuses == [200, 200, 429, 200]


async def test_a_rotation_is_noticed_with_the_first_token_of_the_new_key(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin, clock: Clock
) -> None:
    await edge_node.put(document(origin, {"users": issuer.method()}))
    old = issuer.token()
    assert (await get(edge_node, old)).status == 200
    issuer.rotate()
    clock.now_s += 31
    assert [(await get(edge_node, token)).status for token in (issuer.token(), old)] == [200, 200]


async def test_a_flood_of_unknown_keys_makes_one_fetch_in_30_seconds(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin, clock: Clock
) -> None:
    await edge_node.put(document(origin, {"users": issuer.method()}))
    assert (await get(edge_node, issuer.token())).status == 200
    for fetches in (2, 3):
        clock.now_s += 31
        guesses = [issuer.token({"kid": f"guess {at}"}) for at in range(40)]
        answers = await asyncio.gather(*(get(edge_node, token) for token in guesses))
        assert {answer.status for answer in answers} == {401}
        assert issuer.fetches == fetches


async def test_a_hundred_first_requests_make_one_fetch(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin
) -> None:
    await edge_node.put(document(origin, {"users": issuer.method()}))
    answers = await asyncio.gather(*(get(edge_node, issuer.token(sub=f"u{at}")) for at in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert issuer.fetches == 1


async def test_an_issuer_that_is_down_is_believed_for_a_day_and_then_it_is_a_503(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin, clock: Clock
) -> None:
    await edge_node.put(document(origin, {"users": issuer.method()}))
    known, unseen = issuer.token(sub="a"), issuer.token(sub="b")
    assert (await get(edge_node, known)).status == 200
    await issuer.stop()
    clock.now_s += 86_399
    assert [(await get(edge_node, token)).status for token in (known, unseen, known)] == [200, 200, 200]
    clock.now_s += 1
    assert [is_lost(await get(edge_node, token)) for token in (known, unseen)] == [True, True]
    await issuer.start()
    clock.now_s += 31
    assert (await get(edge_node, known)).status == 200


async def test_one_tenants_issuer_that_is_down_is_nobody_elses_trouble(
    edge_node: RunningEdge, issuer: Issuer, origin: RunningOrigin
) -> None:
    async with running_issuer() as second:
        await edge_node.put(document(origin, {"users": issuer.method()}))
        other = document(origin, {"users": second.method()})
        await edge_node.put({**other, "tenant": "other", "domains": [{"host": "o.test", "verified_by": "operator"}]})
        await second.stop()
        assert is_lost(await edge_node.get("/echo", "o.test", Authorization=f"Bearer {second.token()}"))
        assert (await get(edge_node, issuer.token())).status == 200


async def test_an_issuer_at_a_private_address_is_never_asked(
    redis_url: str, issuer: Issuer, origin: RunningOrigin
) -> None:
    async with running_edge(redis_url, egress_allow="10.9.9.9/32") as guarded:
        await guarded.put(document(origin, {"users": issuer.method()}))
        assert is_lost(await get(guarded, issuer.token()))
    assert issuer.fetches == 0


async def test_redis_is_not_asked_about_a_token(own_redis: RedisProcess, issuer: Issuer, origin: RunningOrigin) -> None:
    async with running_edge(own_redis.url) as alone:
        await alone.put(document(origin, {"users": issuer.method()}))
        own_redis.stop()
        assert [(await get(alone, issuer.token(sub=sub))).status for sub in "aba"] == [200] * 3
        assert (await get(alone, issuer.token(aud="other"))).status == 401
