"""Logging out: here and at the provider, for who means it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.fakes.edges import RunningEdge
from tests.fakes.openid import CLIENT_ID, RunningProvider
from tests.fakes.origins import RunningOrigin
from tests.fakes.visitors import LOGOUT, Visitor, document

SESSION = "__Host-portico.login"


async def test_logging_out_ends_the_session_here_and_at_the_provider(
    edge: RunningEdge, origin: RunningOrigin, provider: RunningProvider
) -> None:
    await edge.put(document(origin.url))
    visitor = Visitor(edge)
    await visitor.log_in()
    held = dict(visitor.cookies)
    assert (await visitor.get("/echo")).status == 200
    out = await visitor.visit(LOGOUT, **{"Sec-Fetch-Site": "same-origin"})
    assert out.status == 303
    where = urlsplit(out.headers["location"])
    assert where._replace(query="").geturl() == f"{provider.issuer}/end"
    assert dict(parse_qsl(where.query))["client_id"] == CLIENT_ID
    assert not visitor.cookies
    assert (await Visitor(edge, cookies=held).get("/echo")).status == 401


async def test_logging_out_twice_or_without_a_session_does_no_harm(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put(document(origin.url))
    for visitor in (Visitor(edge), Visitor(edge, cookies={SESSION: "x" * 43}), Visitor(edge, cookies={SESSION: "x"})):
        out = await visitor.ask("POST", LOGOUT, Accept="text/html")
        assert (out.status, b"You are logged out" in out.body) == (200, True)
        assert out.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "fields", "is_out"),
    [
        ("POST", {"Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Origin": "http://{host}"}, True),
        ("POST", {}, True),
        ("GET", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, True),
        ("GET", {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}, True),
        ("GET", {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors", "Accept": "image/*"}, False),
        ("GET", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Purpose": "prefetch"}, False),
        ("HEAD", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, False),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, False),
        ("POST", {"Sec-Fetch-Site": "same-site"}, False),
        ("POST", {"Origin": "https://evil.test"}, False),
        ("POST", {"Origin": "null"}, False),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, False),
        ("GET", {}, False),
        ("HEAD", {"Sec-Fetch-Site": "cross-site"}, False),
    ],
)
async def test_no_other_site_logs_anybody_out(
    edge: RunningEdge, origin: RunningOrigin, method: str, fields: dict[str, str], is_out: bool
) -> None:
    await edge.put(document(origin.url))
    visitor = Visitor(edge)
    await visitor.log_in()
    held = dict(visitor.cookies)
    named = {name: value.format(host=f"{visitor.host}:{edge.port}") for name, value in fields.items()}
    answer = await visitor.ask(method, LOGOUT, **named)
    assert answer.status == (303 if is_out else 403 if method == "POST" else 200)
    assert (await Visitor(edge, cookies=held).get("/echo")).status == (401 if is_out else 200)
