"""What a session opens, for which requests, and until when."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import redis

from edge.client_edge.sessions.method import MAX_SKEW_S, Login
from edge.client_edge.sessions.providers import RelyingParty
from store.client import connect
from store.model import SessionAuth
from store.secrets import NewKey
from store.sessions import Kept, Revocations
from tests.fakes.edges import Answer, RunningEdge
from tests.fakes.origins import RunningOrigin
from tests.fakes.timing import steadily
from tests.fakes.visitors import LOGIN, Visitor, document
from tests.fakes.waiting import until

SESSION = "__Host-portico.login"
WEB_SOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
PARTY = RelyingParty("https://id.test/", "me")
NOW_S = 1_800_000_000.0


def login(**fields: Any) -> Login:
    declared = SessionAuth.model_validate({"type": "session", **fields})
    return Login("acme", "login", declared, PARTY, None, None)  # type: ignore[arg-type]  # nobody is asked


def begun(by: Login, began_s: float = NOW_S) -> Kept:
    return Kept("ann", by.begun("ann", {"email": "a@b"}, "x.y.z", began_s))


@pytest.mark.parametrize(
    ("age_s", "is_good"),
    [(0, True), (3599.9, True), (3600, False), (86_400, False), (-MAX_SKEW_S, True), (-MAX_SKEW_S - 1, False)],
)
def test_a_session_ends_after_its_lifetime_however_busy(age_s: float, is_good: bool) -> None:
    mine = login(lifetime="1h")
    assert (mine.identity_of(begun(mine), NOW_S + age_s) is not None) is is_good


def test_a_session_says_who_it_is_and_what_the_provider_said() -> None:
    mine = login()
    who = mine.identity_of(begun(mine), NOW_S)
    assert who is not None
    assert (who.subject, who.kind, who.key_id, dict(who.claims or {})) == ("ann", "session", None, {"email": "a@b"})


@pytest.mark.parametrize(
    "party", [RelyingParty("https://other.test/", "me"), RelyingParty("https://id.test/", "another")]
)
def test_a_session_of_another_provider_or_client_is_none_here(party: RelyingParty) -> None:
    mine = login()
    other = Login("acme", "login", mine.declared, party, None, None)  # type: ignore[arg-type]
    assert mine.identity_of(begun(other), NOW_S) is None
    renamed = Login("acme", "staff", mine.declared, PARTY, None, None)  # type: ignore[arg-type]
    assert mine.identity_of(begun(renamed), NOW_S) is None


async def logged_in(edge: RunningEdge, origin: RunningOrigin, **fields: Any) -> Visitor:
    await edge.put(document(origin.url, **fields))
    visitor = Visitor(edge)
    await visitor.log_in()
    return visitor


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["error"]


async def test_a_session_that_nobody_uses_ends_and_the_person_is_asked_to_log_in_again(
    edge: RunningEdge, origin: RunningOrigin, redis_url: str
) -> None:
    visitor = await logged_in(edge, origin, idle_timeout="1s")
    assert (await visitor.get("/echo")).status == 200
    with redis.Redis.from_url(redis_url) as raw:
        await until(lambda: not list(raw.scan_iter("{sess:acme}:s:*")), 5)
    await asyncio.sleep(0.1)  # what the worker remembers is good for a tenth of the idle time
    assert (await visitor.get("/echo")).status == 401
    again = await visitor.visit("/echo?a=1")
    assert (again.status, again.headers["location"]) == (302, f"{LOGIN}?method=login&return_to=/echo%3Fa%3D1")


@steadily
async def test_a_session_in_use_does_not_idle(edge: RunningEdge, origin: RunningOrigin) -> None:
    visitor = await logged_in(edge, origin, idle_timeout="1s")
    for _ in range(15):
        assert (await visitor.get("/echo")).status == 200
        await asyncio.sleep(0.1)


async def test_a_session_in_use_ends_with_its_lifetime(edge: RunningEdge, origin: RunningOrigin) -> None:
    visitor = await logged_in(edge, origin, idle_timeout="1s", lifetime="1s")
    assert (await visitor.get("/echo")).status == 200

    async def is_over() -> bool:
        return (await visitor.get("/echo")).status == 401

    await until(is_over, 5)


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("POST", {}, 200),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", {"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 200),
        ("POST", {"Origin": "http://{host}"}, 200),
        ("POST", {"Sec-Fetch-Site": "same-site"}, 403),
        ("DELETE", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("PUT", {"Origin": "https://evil.test"}, 403),
        ("POST", {"Origin": "http://other.localhost"}, 403),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, 200),
        ("GET", {"Origin": "https://evil.test"}, 200),
    ],
)
async def test_no_other_site_changes_anything_in_somebodys_name(
    edge: RunningEdge, origin: RunningOrigin, method: str, fields: dict[str, str], status: int
) -> None:
    visitor = await logged_in(edge, origin)
    named = {name: value.format(host=f"{visitor.host}:{edge.port}") for name, value in fields.items()}
    for _ in range(2):  # not known yet, and known
        answer = await visitor.ask(method, "/echo", **named)
        assert answer.status == status
        if status == 403:
            assert code_of(answer) == (403, "forbidden")


@pytest.mark.parametrize(
    ("origin_field", "status"),
    [("http://{host}", 101), ("https://{host}", 101), ("https://evil.test", 403), ("null", 403), (None, 403)],
)
async def test_a_web_socket_is_opened_for_a_page_of_the_same_host_alone(
    edge: RunningEdge, origin: RunningOrigin, origin_field: str | None, status: int
) -> None:
    visitor = await logged_in(edge, origin)
    host = f"{visitor.host}:{edge.port}"
    fields = {**WEB_SOCKET, "Cookie": f"{SESSION}={visitor.cookies[SESSION]}"}
    if origin_field is not None:
        fields["Origin"] = origin_field.format(host=host)
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(f"GET /ws HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode())
        async with asyncio.timeout(10):
            assert int((await reader.readline()).split()[1]) == status
        writer.close()


async def test_who_shows_a_key_needs_no_session_and_no_origin(edge: RunningEdge, origin: RunningOrigin) -> None:
    raw = document(origin.url)
    raw["auth"]["keys"] = {"type": "api_key"}
    raw["routes"][0]["auth"] = ["login", "keys"]
    await edge.put(raw)
    key: NewKey = await edge.put_key("acme")
    visitor = Visitor(edge)
    await visitor.log_in()
    evil = {"Origin": "https://evil.test"}
    answer = await visitor.ask("POST", "/echo", **evil, **{"X-API-Key": key.text})
    assert answer.status == 200
    assert ["X-Portico-Subject", key.id] in json.loads(answer.body)["headers"]


async def test_the_cookie_reaches_no_target_of_any_route(edge: RunningEdge, origin: RunningOrigin) -> None:
    raw = document(origin.url, route={"keep_credentials": True, "auth": ["login", "keys"]})
    raw["auth"]["keys"] = {"type": "api_key"}
    raw["routes"].append({"name": "open", "path": "/echo", "upstream": "app"})
    await edge.put(raw)
    visitor = Visitor(edge, cookies={"theirs": "1"})
    await visitor.log_in(path="/echo/x")
    for path in ("/echo", "/echo/x"):
        answer = await visitor.get(path)
        assert SESSION not in answer.body.decode()
        if answer.status == 200:
            assert ["Cookie", "theirs=1"] in json.loads(answer.body)["headers"]


async def test_a_target_can_be_told_what_the_provider_says_of_a_person(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    rules = {"request": {"set": {"X-Mail": {"claim": "email"}}}}
    visitor = await logged_in(edge, origin, route={"headers": rules})
    for _ in range(2):
        told = json.loads((await visitor.get("/echo", **{"X-Mail": "mine"})).body)["headers"]
        assert [value for name, value in told if name.lower() == "x-mail"] == ["ann@acme.test"]


async def test_a_session_that_is_revoked_ends_with_the_next_revision_of_its_tenant(
    edge: RunningEdge, origin: RunningOrigin, redis_url: str
) -> None:
    ann = await logged_in(edge, origin)
    bob = Visitor(edge)
    await bob.log_in("bob")
    assert [(await each.get("/echo")).status for each in (ann, bob)] == [200, 200]
    async with connect(redis_url, "control") as client:
        await Revocations(client).revoke("acme", "ann")
    await edge.put_key("acme")  # any commit: the control plane makes one along with the revocation
    assert [(await each.get("/echo")).status for each in (ann, bob)] == [401, 200]


async def test_strangers_ids_cost_a_look_and_open_nothing(edge: RunningEdge, origin: RunningOrigin) -> None:
    await logged_in(edge, origin)
    for wrong in ("x" * 43, "x", "", "\xe9" * 43, "x" * 4000):
        answer = await Visitor(edge, cookies={SESSION: wrong}).get("/echo")
        assert answer.status == 401
