"""The worked examples of edge/README.md, "How often", run as they stand: so that they cannot drift.

Whoever adds a subsection adds what stands around its example: a test named for its title.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from store.guards import RETRY_AFTER_S
from store.model.limits import LIMIT_KINDS
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.examples import read_examples
from tests.fakes.issuers import running_issuer
from tests.fakes.origins import RunningOrigin, running_app
from tests.fakes.source import ROOT
from tests.fakes.waiting import until

README = ROOT / "edge" / "README.md"
EXAMPLES = read_examples(README, "How often")
RUN_BY = {
    "A rate": "test_a_rate_as_the_readme_shows_it",
    "A quota": "test_a_quota_as_the_readme_shows_it",
    "So many at once": "test_so_many_at_once_as_the_readme_shows_it",
    "By what a client says": "test_by_what_a_client_says_as_the_readme_shows_it",
    "By what a token claims": "test_by_what_a_token_claims_as_the_readme_shows_it",
    "What a request costs": "test_what_a_request_costs_as_the_readme_shows_it",
    "In shadow": "test_in_shadow_as_the_readme_shows_it",
    "On every route": "test_on_every_route_as_the_readme_shows_it",
}
ADMITTED = 'portico_limit_decisions_total{outcome="admitted",source="store"}'
WOULD_BE_REFUSED = 'portico_limit_decisions_total{outcome="shadow_refused",source="store"}'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest_asyncio.fixture
async def edge(redis_url: str, log: Path) -> AsyncIterator[RunningEdge]:
    async with running_edge(redis_url, access_log=str(log)) as running:
        yield running


def places(origin: RunningOrigin) -> dict[str, str]:
    """Where the sample upstream of the demo stands here."""
    return {"127.0.0.1:9000": f"127.0.0.1:{origin.port}"}


def fields(answer: str) -> dict[str, str]:
    """The fields of an answer as curl shows it, by lower-case name."""
    lines = [line.partition(": ") for line in answer.partition("\r\n\r\n")[0].splitlines()[1:]]
    return {name.lower(): value for name, _, value in lines}


def logged(log: Path) -> list[dict[str, object]]:
    """The lines of the access log."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_each_example_is_run() -> None:
    assert {title: name in globals() for title, name in RUN_BY.items()} == dict.fromkeys(EXAMPLES, True)


def test_the_readme_says_what_each_field_of_a_limit_means() -> None:
    section = README.read_text().partition("\n## How often\n")[2].partition("\n### ")[0]
    listed = re.findall(r"^\| `(\w+)` \| .+ \|$", section, re.MULTILINE)
    declared = {field.alias or name for part in LIMIT_KINDS.values() for name, field in part.model_fields.items()}
    assert sorted(listed) == sorted(declared)


async def test_a_rate_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    *_, third, refused, other = await EXAMPLES["A rate"].run(edge, places(origin))
    assert fields(third)["ratelimit"].startswith('"per-client";r=0;t=')
    assert 30 < int(fields(refused)["retry-after"]) <= 36
    assert fields(other)["ratelimit"].startswith('"per-client";r=2;t=')


async def test_a_quota_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    await edge.put({"tenant": "shop"})
    key, other = await edge.put_key("shop"), await edge.put_key("shop")
    first, _, refused = await EXAMPLES["A quota"].run(edge, places(origin), KEY=key.text)
    assert fields(first)["ratelimit"].startswith('"trial";r=1;t=')
    assert 0 < int(fields(refused)["retry-after"]) <= 31 * 86_400
    assert (await edge.get("/echo", "shop.localhost", X_API_Key=other.text)).status == 200


async def test_so_many_at_once_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    together, after = await EXAMPLES["So many at once"].run(edge, places(origin))
    assert re.findall(r"HTTP/1.1 (\d+)", together) == ["429", "200"]
    assert int(fields(together)["retry-after"]) == RETRY_AFTER_S
    assert fields(after)["ratelimit"] == '"busy";r=0'


async def test_by_what_a_client_says_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    await EXAMPLES["By what a client says"].run(edge, places(origin))
    statuses = [(await edge.get("/echo", "shop.localhost")).status for _ in range(2)]
    assert statuses == [200, 429]  # those without the field share one


async def test_by_what_a_token_claims_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    async with running_issuer() as issuer:
        tokens = {
            name: issuer.token(iss="https://id.acme.com/", aud="shop", sub=name, org=org)
            for name, org in (("ANN", "a"), ("BEN", "a"), ("EVE", "e"))
        }
        at = {**places(origin), "https://id.acme.com/jwks.json": issuer.jwks_url}
        await EXAMPLES["By what a token claims"].run(edge, at, **tokens)


async def test_what_a_request_costs_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    async def check(request: web.Request) -> web.Response:
        is_large = "report=large" in request.headers["X-Forwarded-Uri"]
        return web.Response(headers={"X-User": "ann", **({"X-Cost": "6"} if is_large else {})})

    service = web.Application()
    service.router.add_get("/check", check)
    async with running_app(service) as port:
        at = {**places(origin), "127.0.0.1:9001": f"127.0.0.1:{port}"}
        first, _, last = await EXAMPLES["What a request costs"].run(edge, at)
        assert fields(first)["ratelimit"].startswith('"budget";r=4;')
        assert fields(last)["ratelimit"].startswith('"budget";r=3;')
        cheap = await edge.get("/echo?report=large", "shop.localhost", X_Cost="0")
        assert cheap.status == 429  # what the client says is nothing


async def test_in_shadow_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin, log: Path) -> None:
    said = await EXAMPLES["In shadow"].run(edge, places(origin))
    assert all("ratelimit" not in fields(answer) for answer in said)
    samples = edge.worker.samples()
    assert (samples[WOULD_BE_REFUSED], samples[ADMITTED]) == (1, 0)
    await until(lambda: len(logged(log)) == 2)
    assert [line.get("shadow_refused") for line in logged(log)] == [None, "planned"]


async def test_on_every_route_as_the_readme_shows_it(edge: RunningEdge, origin: RunningOrigin) -> None:
    *_, refused = await EXAMPLES["On every route"].run(edge, places(origin))
    assert "retry-after" in fields(refused)
