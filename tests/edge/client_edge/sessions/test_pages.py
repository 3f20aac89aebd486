"""Logging in and out: a real edge, a real Redis, a real provider, and browsers that do as they are told or do not."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from store.sealing import Sealer
from tests.fakes.edges import Answer, RunningEdge, running_edge
from tests.fakes.openid import CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID, RunningProvider, running_provider
from tests.fakes.origins import RunningOrigin
from tests.fakes.visitors import CALLBACK, LOGIN, LOGOUT, SECRETS, Visitor, answered, document, operators

SESSION = "__Host-portico.login"


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["error"]


def seen(answer: Answer) -> dict[str, str]:
    """The fields that the target saw."""
    assert answer.status == 200, answer
    return {name.lower(): value for name, value in json.loads(answer.body)["headers"]}


async def test_a_person_logs_in_and_the_target_learns_who_it_is(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url))
    visitor = Visitor(edge, cookies={"theirs": "1"})
    back = await visitor.log_in("ann", "/echo?a=1&b=%20")
    assert (back.status, back.headers["location"]) == (302, "/echo?a=1&b=%20")
    assert set(visitor.cookies) == {"theirs", SESSION}
    told = seen(await visitor.get("/echo"))
    assert told["x-portico-subject"] == "ann"
    assert told["cookie"] == "theirs=1"


async def test_a_script_without_a_session_gets_a_401_that_names_the_login(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    await edge.put(document(origin.url))
    answer = await Visitor(edge).get("/echo", Accept="application/json")
    assert code_of(answer) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == f'Session login="{LOGIN}"'


async def test_the_cookie_is_for_this_host_alone_and_another_one_after_each_login(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    await edge.put(document(origin.url))
    visitor = Visitor(edge)
    back = await visitor.log_in()
    [line] = [line for line in back.set_cookies if line.startswith(SESSION)]
    assert line.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax")
    assert "Domain" not in line
    first = visitor.cookies[SESSION]
    await visitor.visit(await answered((await visitor.visit(LOGIN)).headers["location"], "bob"))
    assert visitor.cookies[SESSION] != first
    assert seen(await visitor.get("/echo"))["x-portico-subject"] == "bob"
    assert (await Visitor(edge, cookies={SESSION: first}).get("/echo")).status == 401


async def test_a_session_that_somebody_put_into_the_browser_before_the_login_is_worth_nothing_after_it(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    await edge.put(document(origin.url))
    planted = Visitor(edge)
    await planted.log_in("eve")
    victim = Visitor(edge, cookies=dict(planted.cookies))
    sent = await victim.visit(LOGIN)
    await victim.visit(await answered(sent.headers["location"], "ann"))
    assert seen(await victim.get("/echo"))["x-portico-subject"] == "ann"
    assert (await planted.get("/echo")).status == 401


async def test_an_answer_that_belongs_to_another_browser_logs_nobody_in(
    edge: RunningEdge, origin: RunningOrigin, provider: RunningProvider
) -> None:
    await edge.put(document(origin.url))
    attacker, victim = Visitor(edge), Visitor(edge)
    planted = await answered(await attacker.begin(), "eve")
    await victim.begin()
    refused = await victim.visit(planted)
    assert refused.status == 403
    assert SESSION not in victim.cookies
    assert (await provider.seen())["tokens"] == 0


async def test_a_callback_without_a_login_or_with_half_an_answer_is_refused(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    await edge.put(document(origin.url))
    visitor = Visitor(edge)
    state = dict(parse_qsl(urlsplit(await visitor.begin()).query))["state"]
    kept = dict(visitor.cookies)
    right = f"?state={state}"
    wrong = ["", "?code=x", "?state=x&code=x", right, f"{right}&state={state}&code=x", f"{right}&error=access_denied"]
    for query in (*wrong, f"{right}&code=x&iss=https%3A%2F%2Fevil.test"):
        visitor.cookies = dict(kept)
        assert code_of(await visitor.get(CALLBACK + query)) == (403, "login_failed")
        assert SESSION not in visitor.cookies


async def test_a_code_is_changed_once_however_often_the_answer_comes(
    edge: RunningEdge, origin: RunningOrigin, provider: RunningProvider
) -> None:
    await edge.put(document(origin.url))
    visitor = Visitor(edge)
    back = await answered(await visitor.begin())
    browsers = [Visitor(edge, cookies=dict(visitor.cookies)) for _ in range(5)]
    answers = await asyncio.gather(*(each.get(back) for each in browsers))
    assert sorted(answer.status for answer in answers) == [302, 403, 403, 403, 403]
    assert (await provider.seen())["tokens"] == 1


@pytest.mark.parametrize(
    "manners",
    [
        {"claims": {"nonce": "another"}},
        {"claims": {"iss": "https://evil.test"}},
        {"claims": {"aud": "somebody-else"}},
        {"claims": {"aud": [CLIENT_ID, "other"], "azp": "other"}},
        {"claims": {"azp": "other"}},
        {"claims": {"exp": 1_000_000_000}},
        {"claims": {"nbf": 9_000_000_000}},
        {"claims": {"sub": ""}},
        {"claims": {"sub": None}},
        *({"drop": [name]} for name in ("iss", "aud", "exp", "iat", "nonce", "sub")),
        {"claims": {"story": "x" * 5000}},
        {"sign": "stranger"},
        {"id_token": "not.a.token"},
        {"id_token": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmUifQ."},
        {"deny": True},
        {"answer": {"iss": "https://evil.test"}},
    ],
    ids=json.dumps,
)
async def test_an_identity_that_is_not_to_be_believed_logs_nobody_in(
    edge: RunningEdge, origin: RunningOrigin, provider: RunningProvider, manners: dict[str, Any]
) -> None:
    await edge.put(document(origin.url))
    await provider.tell(**manners)
    visitor = Visitor(edge)
    back = await visitor.get(await answered(await visitor.begin()))
    assert code_of(back) == (403, "login_failed")
    assert not visitor.cookies


async def test_a_provider_that_says_that_it_names_itself_must(redis_url: str, origin: RunningOrigin) -> None:
    with running_provider() as provider:
        await provider.tell(names_itself=True)  # before anybody asks for its description
        async with running_edge(redis_url, SECRETS, **operators(provider)) as edge:
            await edge.put(document(origin.url))
            visitor = Visitor(edge)
            back = await answered(await visitor.begin())
            without = "&".join(field for field in back.split("&") if not field.startswith("iss="))
            assert without != back
            assert (await Visitor(edge, cookies=dict(visitor.cookies)).visit(without)).status == 403
            assert (await visitor.visit(back)).status == 302


@pytest.mark.parametrize("return_to", ["//evil.test", "https://evil.test", "/\\evil.test", "/\tevil", LOGOUT])
async def test_nobody_is_sent_to_another_site_after_the_login(
    edge: RunningEdge, origin: RunningOrigin, return_to: str
) -> None:
    await edge.put(document(origin.url))
    visitor = Visitor(edge)
    sent = await visitor.visit(f"{LOGIN}?return_to={quote(return_to, safe='')}")
    back = await visitor.visit(await answered(sent.headers["location"]))
    assert (back.status, back.headers["location"]) == (302, "/")


async def test_a_login_by_plain_http_is_refused_in_words_and_by_https_behind_a_trusted_proxy_it_is_not(
    redis_url: str, provider: RunningProvider, origin: RunningOrigin
) -> None:
    flags = {**operators(provider), "trusted_proxies": "127.0.0.1"}
    async with running_edge(redis_url, SECRETS, **flags) as edge:
        plain = document(origin.url)
        await edge.put({**plain, "domains": [{"host": "shop.test", "verified_by": "operator"}]})
        plainly = await edge.get(LOGIN, host="shop.test", Accept="text/html")
        assert plainly.status == 403
        assert b"https" in plainly.body
        safely = await edge.get(LOGIN, host="shop.test", X_Forwarded_Proto="https")
        asked = dict(parse_qsl(urlsplit(safely.headers["location"]).query))
        assert asked["redirect_uri"] == "https://shop.test/.portico/callback"


async def test_a_tenant_may_bring_a_provider_of_its_own_with_a_secret_that_is_sealed(
    redis_url: str, provider: RunningProvider, origin: RunningOrigin
) -> None:
    sealed = Sealer([b"k" * 32]).seal_text(CLIENT_SECRET, "acme")
    own: dict[str, Any] = {"issuer": provider.issuer, "client_id": CLIENT_ID, "client_secret": sealed}
    async with running_edge(redis_url, {"PORTICO_SECRET_KEY": SECRETS["PORTICO_SECRET_KEY"]}) as edge:
        await edge.put(document(origin.url, **own))
        visitor = Visitor(edge)
        await visitor.log_in()
        assert seen(await visitor.get("/echo"))["x-portico-subject"] == "ann"


async def test_a_public_client_needs_no_secret(
    edge: RunningEdge, provider: RunningProvider, origin: RunningOrigin
) -> None:
    await edge.put(document(origin.url, issuer=provider.issuer, client_id=PUBLIC_CLIENT_ID))
    visitor = Visitor(edge)
    await visitor.log_in()
    assert seen(await visitor.get("/echo"))["x-portico-subject"] == "ann"


async def test_a_subject_may_be_another_claim(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url, subject_claim="email"))
    visitor = Visitor(edge)
    await visitor.log_in()
    assert seen(await visitor.get("/echo"))["x-portico-subject"] == "ann@acme.test"


async def test_a_failed_login_is_a_page_for_people_and_json_for_programs(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    await edge.put(document(origin.url))
    page, data = await Visitor(edge).visit(f"{CALLBACK}?state=x&code=y"), await Visitor(edge).get(CALLBACK)
    assert (page.status, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert b"You are not logged in" in page.body
    assert page.headers["x-request-id"].encode() in page.body
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert data.headers["content-type"] == "application/json"
    assert {answer.headers["cache-control"] for answer in (page, data)} == {"no-store"}


async def test_a_second_try_leads_back_to_where_the_first_was_going(
    edge: RunningEdge, origin: RunningOrigin, provider: RunningProvider
) -> None:
    await edge.put(document(origin.url))
    await provider.tell(deny=True)
    page = await Visitor(edge).log_in(path="/echo?<b>='")
    assert page.status == 403
    assert b"return_to=/echo%3F%3Cb%3E%3D%27" in page.body
    assert b"<b>" not in page.body


async def test_the_pages_are_there_where_a_route_asks_for_a_session_and_nowhere_else(
    edge: RunningEdge, origin: RunningOrigin
) -> None:
    await edge.put(document(origin.url))
    plain = document(origin.url, route={"auth": []})
    await edge.put({**plain, "tenant": "other", "domains": [{"host": "other.localhost", "verified_by": "operator"}]})
    visitor, stranger = Visitor(edge), Visitor(edge, "other.localhost")
    assert (await visitor.get(LOGIN)).status == 302
    for path in (LOGIN, CALLBACK, LOGOUT, "/.portico/"):
        assert code_of(await stranger.get(path)) == (404, "no_route")
    assert code_of(await visitor.get("/.portico/other")) == (404, "no_route")
    wrong = await visitor.ask("DELETE", LOGOUT)
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_a_login_that_nobody_offers_is_refused(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url))
    assert code_of(await Visitor(edge).get(f"{LOGIN}?method=other")) == (403, "login_failed")


async def test_two_ways_to_log_in_have_sessions_of_their_own(
    edge: RunningEdge, origin: RunningOrigin, provider: RunningProvider
) -> None:
    raw = document(origin.url)
    raw["auth"]["staff"] = {"type": "session", "issuer": provider.issuer, "client_id": PUBLIC_CLIENT_ID}
    raw["routes"].append({"name": "staff", "path": "/status/*", "upstream": "app", "auth": ["staff"]})
    await edge.put(raw)
    visitor = Visitor(edge)
    await visitor.log_in("ann", "/echo")
    assert (await visitor.get("/status/200")).status == 401
    visitor.cookies["__Host-portico.staff"] = visitor.cookies[SESSION]
    assert (await visitor.get("/status/200")).status == 401  # a customer's session under the staff's name
    await visitor.log_in("bob", "/status/200")
    assert (await visitor.get("/status/200")).status == 200
    assert seen(await visitor.get("/echo"))["x-portico-subject"] == "ann"
    await visitor.ask("POST", LOGOUT)
    assert not visitor.cookies


async def test_a_session_ends_with_the_provider_that_it_began_at(
    edge: RunningEdge, origin: RunningOrigin, provider: RunningProvider
) -> None:
    await edge.put(document(origin.url))
    visitor = Visitor(edge)
    await visitor.log_in()
    await edge.put(document(origin.url, issuer=provider.issuer, client_id=PUBLIC_CLIENT_ID))
    assert (await visitor.get("/echo")).status == 401


async def test_many_logins_begun_and_left_do_not_fill_the_browser(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url))
    visitor = Visitor(edge)
    for _ in range(20):
        await visitor.begin()
    assert len(visitor.cookies) <= 5
    assert (await visitor.log_in()).headers["location"] == "/echo"
