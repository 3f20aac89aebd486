"""The worked examples of edge/README.md, "Who calls", run as they stand: so that they cannot drift.

Whoever adds a subsection adds what stands around its example: a test named for its title.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
import typer
from aiohttp import web

from tenants.cli import app
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.examples import read_examples
from tests.fakes.issuers import running_issuer
from tests.fakes.openid import PUBLIC_CLIENT_ID, running_provider
from tests.fakes.origins import RunningOrigin, running_app
from tests.fakes.source import ROOT
from tests.fakes.visitors import SECRETS, Visitor

EXAMPLES = read_examples(ROOT / "edge" / "README.md", "Who calls")
RUN_BY = {
    "API keys": "test_api_keys_as_the_readme_shows_them",
    "A JSON Web Token": "test_a_json_web_token_as_the_readme_shows_it",
    "Basic": "test_basic_as_the_readme_shows_it",
    "Forward": "test_forward_as_the_readme_shows_it",
    "A browser session": "test_a_browser_session_as_the_readme_shows_it",
}


@pytest_asyncio.fixture
async def edge(redis_url: str) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url) as running:
        yield running


def places(origin: RunningOrigin) -> dict[str, str]:
    """Where the sample upstream of the demo stands here."""
    return {"127.0.0.1:9000": f"127.0.0.1:{origin.port}"}


def test_each_example_is_run() -> None:
    assert {title: name in globals() for title, name in RUN_BY.items()} == dict.fromkeys(EXAMPLES, True)


@pytest.mark.parametrize("title", EXAMPLES)
def test_each_example_shows_who_is_let_in_and_who_is_not(title: str) -> None:
    example = EXAMPLES[title]
    statuses = {call.status for call in example.calls}
    assert example.documents
    assert 200 in statuses
    assert statuses - {200}


@pytest.mark.parametrize("title", EXAMPLES)
def test_each_command_of_an_example_exists(title: str) -> None:
    for typed in re.findall(r"(?:^|\()portico ([a-z-]+)(?: ([a-z-]+))?", EXAMPLES[title].script, re.MULTILINE):
        at: object = typer.main.get_command(app)
        for word in filter(None, typed):
            if isinstance(at, typer.core.TyperGroup):
                at = at.commands[word]


async def test_api_keys_as_the_readme_shows_them(edge: RunningEdge, origin: RunningOrigin) -> None:
    example = EXAMPLES["API keys"]
    await edge.put({"tenant": "shop"})
    plain, scoped = await edge.put_key("shop"), await edge.put_key("shop", scopes=("reports",))
    refused, answered, _ = await example.run(edge, places(origin), KEY=plain.text)
    assert 'www-authenticate: apikey header="x-api-key"' in refused.lower()
    assert f'["X-Portico-Subject", "{plain.id}"]' in answered
    assert plain.text not in answered
    assert (await edge.get("/status/200", "shop.localhost", X_API_Key=scoped.text)).status == 200  # as it says below


async def test_a_json_web_token_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    async with running_issuer() as issuer:
        token = issuer.token(iss="https://id.acme.com/", aud="shop", sub="u42", plan="gold")
        at = {**places(origin), "https://id.acme.com/jwks.json": issuer.jwks_url}
        refused, answered = await EXAMPLES["A JSON Web Token"].run(edge, at, TOKEN=token)
    assert "www-authenticate: bearer" in refused.lower()
    assert '["X-Portico-Subject", "u42"]' in answered
    assert '["X-Plan", "gold"]' in answered
    assert "Authorization" not in answered


async def test_basic_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    refused, answered, _ = await EXAMPLES["Basic"].run(edge, places(origin))
    assert 'www-authenticate: basic realm="back office", charset="utf-8"' in refused.lower()
    assert '["X-Portico-Subject", "ann"]' in answered
    assert "Authorization" not in answered


async def test_forward_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    async def check(request: web.Request) -> web.Response:
        if request.cookies.get("session") == "ann":
            return web.Response(headers={"X-User": "ann", "X-Role": "admin"})
        raise web.HTTPFound("https://id.example/login")

    service = web.Application()
    service.router.add_get("/check", check)
    async with running_app(service) as port:
        at = {**places(origin), "127.0.0.1:9001": f"127.0.0.1:{port}"}
        refused, answered = await EXAMPLES["Forward"].run(edge, at)
    assert "location: https://id.example/login" in refused.lower()
    assert '["X-Portico-Subject", "ann"]' in answered
    assert '["X-Role", "admin"]' in answered


async def test_a_browser_session_as_the_readme_shows_it(redis_url: str, origin: RunningOrigin) -> None:
    example = EXAMPLES["A browser session"]
    with running_provider() as provider:
        at = {**places(origin), "https://id.acme.com": provider.issuer, "shop-web": PUBLIC_CLIENT_ID}
        async with running_edge(redis_url, SECRETS) as edge:
            await replace(example, calls=()).run(edge, at)
            person = Visitor(edge, port=None)
            await person.log_in("ann")
            [(name, value)] = person.cookies.items()
            refused, sent, answered = await example.run(edge, at, COOKIE=f"{name}={value}")
    assert 'www-authenticate: session login="/.portico/login"' in refused.lower()
    assert "location: /.portico/login?method=login&return_to=/echo" in sent.lower()
    assert '["X-Portico-Subject", "ann"]' in answered
    assert value not in answered
