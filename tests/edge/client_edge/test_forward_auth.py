"""Forward-auth on the wire: what the service is asked, what targets and clients get of its answer, and its failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web

from tests.fakes.edges import Answer, RunningEdge, running_edge
from tests.fakes.origins import (
    CLOSE,
    HANG,
    READ_HEAD,
    RESET,
    Drip,
    EvilOrigin,
    RunningOrigin,
    Send,
    refusing_port,
    running_app,
    running_evil_origin,
)
from tests.fakes.waiting import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"


@pytest_asyncio.fixture
async def edge(redis_url: str) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url) as running:
        yield running


def document(origin: RunningOrigin, port: int, *auth: str, route: dict[str, Any] | None = None, **ask: Any) -> Any:
    """A tenant whose callers are known by a service on this port, by the path /check of it."""
    return {
        "tenant": "acme",
        "domains": [{"host": "shop.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": [origin.url]}},
        "auth": {
            "ask": {"type": "forward", "url": f"http://127.0.0.1:{port}/check?of=acme", **ask},
            "keys": {"type": "api_key"},
        },
        "routes": [{"name": "all", "path": "/*", "upstream": "app", "auth": list(auth or ("ask",)), **(route or {})}],
    }


def answering(*fields: str) -> Send:
    return Send(OK + "".join(f"{field}\r\n" for field in fields).encode() + b"\r\n")


def asked_with(service: EvilOrigin, number: int = 0) -> tuple[str, list[tuple[str, str]]]:
    """The request's line and fields (lower-case names) that the service got."""
    line, *fields = service.connections[number].received.decode().rstrip("\r\n").split("\r\n")
    pairs = [field.partition(": ") for field in fields]
    return line, [(name.lower(), value) for name, _, value in pairs]


def seen(answer: Answer) -> dict[str, list[str]]:
    """The fields that the target saw, by lower-case name."""
    assert answer.status == 200, answer
    fields: dict[str, list[str]] = {}
    for name, value in json.loads(answer.body)["headers"]:
        fields.setdefault(name.lower(), []).append(value)
    return fields


async def test_the_service_is_asked_about_the_request_as_traefik_and_caddy_ask(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    async with running_evil_origin(READ_HEAD, answering()) as service:
        await edge.put(document(origin, service.port, route={"rewrite": {"strip_prefix": "/api"}}))
        answer = await edge.ask(
            "POST", "/api/%65cho?a=%20", "shop.test:8080", b"a body",
            Cookie="s=1", Authorization="Bearer x", Content_Type="text/plain", If_None_Match='"1"', Range="bytes=0-1",
            X_Forwarded_Uri="/public", X_Forwarded_Method="GET", X_Forwarded_For="9.9.9.9", X_Real_IP="9.9.9.9",
            TE="trailers", Keep_Alive="1", Accept="text/html",
        )  # fmt: skip
        assert seen(answer)["content-length"] == ["6"]
        line, fields = asked_with(service)
    assert line == "GET /check?of=acme HTTP/1.1"
    expected = {
        "host": f"127.0.0.1:{service.port}", "cookie": "s=1", "authorization": "Bearer x", "accept": "text/html",
        "x-forwarded-method": "POST", "x-forwarded-uri": "/api/echo?a=%20", "x-forwarded-host": "shop.test:8080",
        "x-forwarded-proto": "http", "x-forwarded-for": "127.0.0.1", "x-portico-tenant": "acme",
    }  # fmt: skip
    assert {name: [value for each, value in fields if each == name] for name in expected} == {
        name: [value] for name, value in expected.items()
    }
    gone = {"content-length", "transfer-encoding", "te", "keep-alive", "if-none-match", "range", "x-real-ip"}
    assert not gone & {name for name, _ in fields}


async def test_the_service_is_told_the_path_that_the_route_was_found_by(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    """A service that lets /public pass must not be told /public/../admin."""
    async with running_evil_origin(READ_HEAD, answering()) as service:
        await edge.put(document(origin, service.port))
        await edge.get("/public/%2e%2e/echo")
        assert ("x-forwarded-uri", "/echo") in asked_with(service)[1]


async def test_what_the_service_says_of_the_caller_goes_to_the_target_and_the_clients_own_is_gone(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    async with running_evil_origin(
        READ_HEAD, answering("X-User: ann", "X-Role: admin", "X-Role: staff", "X-Secret: not copied")
    ) as service:
        await edge.put(
            document(origin, service.port, copy_headers=["X-User", "X-Role", "X-Team_Id"], subject_header="X-User")
        )
        raw = (
            "GET /echo HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\nX-Role: root\r\nX_Role: root\r\n"
            "x_rOLE: root\r\nX-User: root\r\nX_User: root\r\nX-Team-Id: 1\r\nX_Team_Id: 1\r\n"
            "X-Portico-Subject: root\r\n\r\n"
        )
        fields = seen(Answer.parse(await edge.request(raw.encode())))
        asked = dict(asked_with(service)[1])
    assert (fields["x-user"], fields["x-role"]) == (["ann"], ["admin", "staff"])
    assert fields["x-portico-subject"] == ["ann"]
    assert "root" not in str(fields) + str(asked)
    assert not {"x-secret", "x-team-id", "x_team_id", "x_role", "x_user"} & set(fields)


async def test_the_service_sees_the_clients_credentials_though_the_target_gets_others(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    async with running_evil_origin(READ_HEAD, answering("Authorization: Internal ann")) as service:
        await edge.put(document(origin, service.port, copy_headers=["Authorization", "Cookie"]))
        fields = seen(await edge.get("/echo", Authorization="Bearer x", Cookie="s=1"))
        asked = dict(asked_with(service)[1])
    assert (asked["authorization"], asked["cookie"]) == ("Bearer x", "s=1")
    assert fields["authorization"] == ["Internal ann"]
    assert "cookie" not in fields


@pytest.mark.parametrize(("cookie", "told"), [("__Host-portico.s=1", []), ("a=b; __Host-portico.s=1", ["a=b"])])
async def test_the_service_does_not_get_the_edges_own_cookies(
    edge: RunningEdge, origin: RunningOrigin, cookie: str, told: list[str]
) -> None:
    async with running_evil_origin(READ_HEAD, answering(), CLOSE) as service:
        await edge.put(document(origin, service.port))
        assert (await edge.get("/echo", Cookie=cookie)).status == 200
        _, fields = asked_with(service)
    assert [value for name, value in fields if name == "cookie"] == told


async def test_the_clients_own_of_those_names_is_gone_when_another_method_lets_the_request_pass(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    with refusing_port() as dead:
        await edge.put(document(origin, dead, "keys", "ask", copy_headers=["X-Role"]))
        key = await edge.put_key("acme")
        for _ in range(2):  # looked up, and then known
            head = f"Host: shop.test\r\nConnection: close\r\nX-API-Key: {key.text}\r\nX-Role: root\r\nx_role: root\r\n"
            fields = seen(Answer.parse(await edge.request(f"GET /echo HTTP/1.1\r\n{head}\r\n".encode())))
            assert fields["x-portico-subject"] == [key.id]
            assert not {"x-role", "x_role"} & set(fields)


async def test_without_a_subject_header_the_target_is_told_of_no_subject(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    async with running_evil_origin(READ_HEAD, answering("X-Role: admin")) as service:
        for copied in ([], ["X-Role"]):
            await edge.put(document(origin, service.port, copy_headers=copied))
            fields = seen(await edge.get("/echo", X_Portico_Subject="root"))
            assert "x-portico-subject" not in fields


@pytest.mark.parametrize(
    ("head", "status", "fields"),
    [
        (
            "302 Found\r\nLocation: https://id.test/login\r\nSet-Cookie: a=1",
            302,
            {"location": "https://id.test/login", "set-cookie": "a=1"},
        ),
        ("401 Unauthorized\r\nWWW-Authenticate: Custom", 401, {"www-authenticate": "Custom"}),
        ("403 Forbidden\r\nContent-Type: text/html\r\nKeep-Alive: timeout=5", 403, {"content-type": "text/html"}),
        ("500 Oops", 500, {}),
    ],
)
async def test_any_other_answer_goes_to_the_client(
    edge: RunningEdge, origin: RunningOrigin, head: str, status: int, fields: dict[str, str]
) -> None:
    raw = f"HTTP/1.1 {head}\r\nContent-Length: 4\r\n\r\nsays".encode()
    async with running_evil_origin(READ_HEAD, Send(raw)) as service:
        await edge.put(document(origin, service.port))
        answer = await edge.get("/echo")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (status, b"says", "4")
    assert fields.items() <= answer.headers.items()
    assert "keep-alive" not in answer.headers
    assert not origin.state.hits["/echo"]
    counters = edge.worker.counters
    assert (counters.auth_refused, counters.auth_accepted["forward"]) == (1, 0)


async def test_another_answer_does_not_stand_in_the_way_of_another_method(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    async with running_evil_origin(READ_HEAD, Send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")) as service:
        await edge.put(document(origin, service.port, "ask", "keys"))
        key = await edge.put_key("acme")
        assert (await edge.get("/echo", X_API_Key=key.text)).status == 200
        assert (await edge.get("/echo", X_API_Key="wrong")).status == 403


async def test_a_chunked_answer_goes_to_the_client_with_a_length(edge: RunningEdge, origin: RunningOrigin) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=403)
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(b"piece by ")
        await answer.write_eof(b"piece")
        return answer

    app = web.Application()
    app.router.add_get("/check", refuse)
    async with running_app(app) as port:
        await edge.put(document(origin, port))
        answer = await edge.get("/echo")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (403, b"piece by piece", "14")
    assert "transfer-encoding" not in answer.headers


@pytest.mark.parametrize(
    "script",
    [
        (READ_HEAD, HANG),
        (READ_HEAD, RESET),
        (READ_HEAD, CLOSE),
        (READ_HEAD, Send(b"what?\r\n\r\n"), HANG),
        (READ_HEAD, Drip(OK + b"\r\n", every_s=0.05)),
        (READ_HEAD, Send(b"HTTP/1.1 403 No\r\nContent-Length: 999999999\r\n\r\n" + b"x" * 300_000), HANG),
        (READ_HEAD, Send(b"HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\nhalf"), CLOSE),
    ],
    ids=["silent", "reset", "closed", "no HTTP", "in drips", "too long", "half an answer"],
)
async def test_a_service_that_cannot_be_asked_is_a_503_and_no_401(
    edge: RunningEdge, origin: RunningOrigin, script: tuple[Any, ...]
) -> None:
    async with running_evil_origin(*script) as service:
        await edge.put(document(origin, service.port, "keys", "ask", timeout="200ms"))
        answer = await edge.get("/echo")
        wrong_key = await edge.get("/echo", X_API_Key="wrong")
    for each in (answer, wrong_key):
        assert (each.status, json.loads(each.body)["error"]) == (503, "auth_unavailable")
        assert each.headers["retry-after"]
    assert not origin.state.hits["/echo"]


async def test_a_service_inside_is_not_asked_unless_an_operator_allows_it(
    redis_url: str, origin: RunningOrigin
) -> None:
    async with running_evil_origin(READ_HEAD, answering()) as service:
        async with running_edge(redis_url, egress_allow="10.0.0.0/8") as strict:
            await strict.put(document(origin, service.port))
            assert (await strict.get("/echo")).status == 503
        assert not service.connections


async def test_a_service_that_redirects_to_itself_is_asked_once(edge: RunningEdge, origin: RunningOrigin) -> None:
    async with running_evil_origin(
        READ_HEAD, Send(b"HTTP/1.1 307 Again\r\nLocation: /check\r\nContent-Length: 0\r\n\r\n"), HANG
    ) as service:
        await edge.put(document(origin, service.port))
        assert (await edge.get("/echo")).status == 307
        assert [bytes(each.received).count(b"GET ") for each in service.connections] == [1]


async def test_a_client_that_goes_ends_the_question(edge: RunningEdge, origin: RunningOrigin) -> None:
    async with running_evil_origin(READ_HEAD, HANG) as service:
        await edge.put(document(origin, service.port, timeout="30s"))
        _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(b"GET /echo HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        connection = await service.connected(1)
        await until(lambda: b"GET " in connection.received, 5)
        writer.transport.abort()
        await asyncio.wait_for(connection.over.wait(), 5)
