"""The path of a request, end to end: a client, one edge worker, a real Redis, real targets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from tests.fakes.edges import Answer, RunningEdge, running_edge
from tests.fakes.origins import RunningOrigin, refusing_port, running_origin


@pytest_asyncio.fixture
async def edge(redis_url: str) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url) as running:
        yield running


@pytest_asyncio.fixture
async def origin() -> AsyncIterator[RunningOrigin]:
    async with running_origin() as running:
        yield running


def document(*targets: str, route: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    """A tenant with one domain, one upstream and one route for everything, changed by `route`."""
    return {
        "tenant": "acme",
        "domains": [{"host": "shop.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": list(targets)}},
        "routes": [{"name": "all", "path": "/*", "upstream": "app", **(route or {})}],
        **rest,
    }


async def echo(edge: RunningEdge, path: str = "/echo", **headers: str) -> dict[str, Any]:
    answer = await edge.get(path, **headers)
    assert answer.status == 200, answer
    told: dict[str, Any] = json.loads(answer.body)
    return told


def seen(told: dict[str, Any]) -> dict[str, str]:
    """The header fields that the target saw, by lower-case name."""
    fields = told["headers"]
    pairs = fields.items() if isinstance(fields, dict) else fields
    return {name.lower(): value for name, value in pairs}


async def test_a_request_reaches_its_target_and_the_answer_its_client(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url))
    told = await echo(edge, "/echo?a=1&a=2")
    headers = seen(told)
    assert headers["host"] == "shop.test"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-host"] == "shop.test"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-portico-tenant"] == "acme"
    assert headers["x-portico-route"] == "all"
    assert "traceparent" in headers
    assert "connection" not in headers or headers["connection"] == "keep-alive"


async def test_what_a_client_says_in_our_names_never_arrives(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url))
    told = await echo(
        edge, X_Portico_Tenant="evil", X_Forwarded_For="6.6.6.6", X_Portico_Subject="root", X_Request_ID="me"
    )
    headers = seen(told)
    assert headers["x-portico-tenant"] == "acme"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert "x-portico-subject" not in headers
    assert headers["x-request-id"] != "me"


async def test_the_answer_names_the_request_and_says_nothing_of_the_edge(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    await edge.put(document(origin.url))
    answer = await edge.get("/nowhere-at-all", host="shop.test")
    assert answer.headers["x-request-id"]
    assert "aiohttp" not in edge_words(await edge.get("/", host="unknown.test"))


def edge_words(answer: Answer) -> str:
    return (" ".join(answer.headers.values()) + answer.body.decode()).lower()


@pytest.mark.parametrize("status", [200, 201, 301, 404, 418, 500, 503])
async def test_an_upstreams_own_answer_passes_through(edge: RunningEdge, origin: RunningOrigin, status: int) -> None:
    await edge.put(document(origin.url))
    assert (await edge.get(f"/status/{status}")).status == status


async def test_what_nobody_serves_is_said_exactly(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url, route={"path": "/v1/*", "methods": ["GET", "POST"]}))
    unknown, no_route = await edge.get("/v1", host="other.test"), await edge.get("/v2")
    wrong_method = await edge.ask("DELETE", "/v1")
    assert (unknown.status, json.loads(unknown.body)["error"]) == (421, "unknown_host")
    assert (no_route.status, json.loads(no_route.body)["error"]) == (404, "no_route")
    assert (wrong_method.status, wrong_method.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_a_key_opens_a_route_and_stays_at_the_edge(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url, route={"auth": ["keys"]}, auth={"keys": {"type": "api_key"}}))
    key = await edge.put_key("acme")
    typo = key.text[:-1] + ("x" if key.text[-1] != "x" else "y")
    without, wrong = await edge.get("/echo"), await edge.get("/echo", X_API_Key=typo)
    assert (without.status, without.headers["www-authenticate"]) == (401, 'ApiKey header="X-API-Key"')
    assert wrong.status == 401
    told = seen(await echo(edge, X_API_Key=key.text))
    assert told["x-portico-subject"] == key.id
    assert "x-api-key" not in told
    await edge.drop_key("acme", key.id)
    assert (await edge.get("/echo", X_API_Key=key.text)).status == 401


async def test_a_key_of_another_tenant_opens_nothing(edge: RunningEdge, origin: RunningOrigin) -> None:
    mine = document(origin.url, route={"auth": ["keys"]}, auth={"keys": {"type": "api_key"}})
    await edge.put(mine)
    await edge.put({**mine, "tenant": "other", "domains": [{"host": "other.test", "verified_by": "operator"}]})
    key = await edge.put_key("other")
    assert (await edge.get("/echo", host="other.test", X_API_Key=key.text)).status == 200
    assert (await edge.get("/echo", host="shop.test", X_API_Key=key.text)).status == 401


async def test_an_expired_key_opens_nothing(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url, route={"auth": ["keys"]}, auth={"keys": {"type": "api_key"}}))
    key = await edge.put_key("acme", expires_at_ms=1)
    assert (await edge.get("/echo", X_API_Key=key.text)).status == 401


async def test_a_key_in_the_query_is_taken_out_of_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url, route={"auth": ["keys"]}, auth={"keys": {"type": "api_key", "query": "key"}}))
    key = await edge.put_key("acme")
    told = await echo(edge, f"/echo?a=1&key={key.text}&b=%20x")
    assert key.text not in json.dumps(told)
    assert "a=1&b=%20x" in json.dumps(told)


async def test_a_limit_admits_its_burst_and_says_when_to_come_back(edge: RunningEdge, origin: RunningOrigin) -> None:
    limits = {"slow": {"rate": "1/m", "burst": 3, "by": "tenant"}}
    await edge.put(document(origin.url, route={"limits": ["slow"]}, limits=limits))
    answers = [await edge.get("/echo") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"slow";q=1;w=60'
    assert answers[0].headers["ratelimit"].startswith('"slow";r=2;t=')
    assert answers[3].headers["ratelimit"].startswith('"slow";r=0;t=')
    assert 55 <= int(answers[3].headers["retry-after"]) <= 60
    assert json.loads(answers[3].body)["error"] == "rate_limited"


async def test_a_limit_by_header_counts_each_value_for_itself(edge: RunningEdge, origin: RunningOrigin) -> None:
    limits = {"team": {"rate": "1/m", "burst": 1, "by": {"header": "X-Team"}}}
    await edge.put(document(origin.url, route={"limits": ["team"]}, limits=limits))
    statuses = [(await edge.get("/echo", X_Team=team)).status for team in ("a", "b", "a")]
    assert statuses == [200, 200, 429]


async def test_a_rewrite_and_header_rules_change_what_the_target_and_the_client_see(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    rules = {
        "request": {"set": {"X-Env": "prod"}, "remove": ["Cookie"]},
        "response": {"set": {"X-Frame-Options": "DENY"}, "remove": ["Content-Type"]},
    }
    await edge.put(document(origin.url, route={"path": "/v1/*", "rewrite": {"strip_prefix": "/v1"}, "headers": rules}))
    answer = await edge.get("/v1/echo", Cookie="a=b")
    headers = seen(json.loads(answer.body))
    assert headers["x-env"] == "prod"
    assert "cookie" not in headers
    assert answer.headers["x-frame-options"] == "DENY"
    assert "content-type" not in answer.headers


async def test_a_body_over_the_routes_bound_is_refused(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url, route={"max_body": 10}))
    assert (await edge.ask("POST", "/echo", body=b"x" * 10)).status == 200
    assert (await edge.ask("POST", "/echo", body=b"x" * 11)).status == 413
    chunked = (
        b"POST /echo HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"
    )
    assert (await edge.request(chunked)).startswith(b"HTTP/1.1 413 ")


async def test_conditions_pick_the_route(edge: RunningEdge, origin: RunningOrigin) -> None:
    canary = {"name": "canary", "path": "/*", "upstream": "app", "match": {"headers": {"X-Canary": "1"}}}
    plain = document(origin.url)
    await edge.put({**plain, "routes": [*plain["routes"], canary]})
    assert seen(await echo(edge, X_Canary="1"))["x-portico-route"] == "canary"
    assert seen(await echo(edge, X_Canary="2"))["x-portico-route"] == "all"


async def test_a_dead_target_is_passed_over(edge: RunningEdge, origin: RunningOrigin) -> None:
    with refusing_port() as dead:
        await edge.put(document(f"http://127.0.0.1:{dead}", origin.url))
        statuses = [(await edge.get("/echo")).status for _ in range(10)]
    assert statuses == [200] * 10


async def test_a_dead_upstream_is_a_502(edge: RunningEdge) -> None:
    with refusing_port() as dead:
        await edge.put(document(f"http://127.0.0.1:{dead}"))
        answer = await edge.get("/echo")
    assert (answer.status, json.loads(answer.body)["error"]) == (502, "upstream_connect")


async def test_a_private_target_is_not_reached_unless_an_operator_allows_it(
    redis_url: str, origin: RunningOrigin
) -> None:
    async with running_edge(redis_url, egress_allow="10.0.0.0/8") as strict:
        await strict.put(document(origin.url))
        answer = await strict.get("/echo")
    assert (answer.status, json.loads(answer.body)["error"]) == (502, "upstream_connect")


async def test_two_keys_are_good_side_by_side_and_the_second_outlives_the_first(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    await edge.put(document(origin.url, route={"auth": ["keys"]}, auth={"keys": {"type": "api_key"}}))
    old, new = await edge.put_key("acme"), await edge.put_key("acme")
    assert [(await edge.get("/echo", X_API_Key=key.text)).status for key in (old, new)] == [200, 200]
    await edge.drop_key("acme", old.id)
    assert [(await edge.get("/echo", X_API_Key=key.text)).status for key in (old, new)] == [401, 200]


async def test_redis_is_no_target_though_its_address_is_allowed(redis_url: str, edge: RunningEdge) -> None:
    await edge.put(document(f"http://127.0.0.1:{URL(redis_url).port}"))
    answer = await edge.get("/echo")
    assert (answer.status, json.loads(answer.body)["error"]) == (502, "upstream_connect")


async def test_a_web_socket_is_tunnelled_both_ways(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url))
    url = f"http://127.0.0.1:{edge.port}/ws"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, headers={"Host": "shop.test"}) as web_socket,
    ):
        for message in ("one", "two", "x" * 100_000):
            await web_socket.send_str(message)
            assert (await web_socket.receive_str()) == message


async def test_a_route_without_web_sockets_refuses_the_upgrade(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url, route={"websocket": False}))
    answer = await edge.ask("GET", "/ws", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Key="x")
    assert answer.status == 403


async def test_a_thousand_requests_at_once_are_all_answered(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url))
    url = f"http://127.0.0.1:{edge.port}/echo"
    connector = aiohttp.TCPConnector(limit=50)
    async with aiohttp.ClientSession(connector=connector, headers={"Host": "shop.test"}) as session:

        async def one(at: int) -> tuple[int, bool]:
            async with session.post(url, data=b"%d" % at, params={"n": str(at)}) as answer:
                return answer.status, f"n={at}" in await answer.text()

        assert await asyncio.gather(*(one(at) for at in range(1000))) == [(200, True)] * 1000
