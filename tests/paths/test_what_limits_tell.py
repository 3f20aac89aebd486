"""What a worker counts of limits, up to the page of metrics: each way of deciding, Redis calls, the drift."""

from __future__ import annotations

import asyncio
import re

import pytest

from edge.telemetry.metrics import render
from store.embedded import RedisProcess
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.origins import RunningOrigin
from tests.fakes.source import ROOT
from tests.fakes.waiting import until

CALLS_PER_THOUSAND = re.compile(r"^ *1000 \* sum\(rate\((\w+)\[5m\]\)\) / sum\(rate\((\w+)\[5m\]\)\)$", re.MULTILINE)


async def put(edge: RunningEdge, origin: RunningOrigin, limits: dict[str, object]) -> None:
    """A tenant with a route for each of these limits, /NAME."""
    await edge.put(
        {
            "tenant": "acme",
            "domains": [{"host": "shop.test", "verified_by": "operator"}],
            "upstreams": {"app": {"targets": [origin.url]}},
            "limits": limits,
            "routes": [
                {
                    "name": name,
                    "path": f"/{name}/*",
                    "upstream": "app",
                    "limits": [name],
                    "rewrite": {"strip_prefix": f"/{name}"},
                }
                for name in limits
            ]
            + [{"name": "free", "path": "/echo", "upstream": "app"}],
        }
    )


def numbers(edge: RunningEdge) -> dict[str, float]:
    """The page of metrics, read as Prometheus would."""
    lines = [line for line in render(edge.worker.samples()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def decisions(edge: RunningEdge) -> dict[tuple[str, str], float]:
    """What was decided, by outcome and by who decided it; without what never was."""
    found = re.compile(r'portico_limit_decisions_total\{outcome="(\w+)",source="(\w+)"\}')
    named = [(found.fullmatch(name), value) for name, value in numbers(edge).items()]
    return {(match[1], match[2]): value for match, value in named if match is not None and value}


async def statuses(edge: RunningEdge, path: str, times: int) -> list[int]:
    return [(await edge.get(path)).status for _ in range(times)]


async def test_who_is_admitted_refused_and_would_be_is_counted(redis_url: str, origin: RunningOrigin) -> None:
    async with running_edge(redis_url) as edge:
        await put(
            edge,
            origin,
            {"two": {"rate": "1/h", "burst": 2, "by": "ip"}, "watched": {"rate": "1/h", "by": "ip", "shadow": True}},
        )
        assert await statuses(edge, "/two/echo", 5) == [200, 200, 429, 429, 429]
        assert await statuses(edge, "/watched/echo", 3) == [200] * 3
        assert decisions(edge) == {("admitted", "store"): 2, ("refused", "store"): 3, ("shadow_refused", "store"): 2}


async def test_what_is_decided_without_redis_is_counted_by_how(own_redis: RedisProcess, origin: RunningOrigin) -> None:
    ways = ("local", "open", "closed")
    async with running_edge(own_redis.url) as edge:
        await put(edge, origin, {way: {"rate": "1/h", "by": "ip", "on_store_loss": way} for way in ways})
        await asyncio.to_thread(own_redis.stop)
        assert {way: await statuses(edge, f"/{way}/echo", 2) for way in ways} == {
            "local": [200, 429],
            "open": [200, 200],
            "closed": [503, 503],
        }
        assert decisions(edge) == {
            ("admitted", "local"): 1, ("refused", "local"): 1, ("admitted", "open"): 2, ("refused", "closed"): 2
        }  # fmt: skip


async def test_the_policy_is_told_whatever_is_decided_and_what_is_left_where_that_is_known(
    own_redis: RedisProcess, origin: RunningOrigin
) -> None:
    ways = ("local", "open", "closed")

    async def told(edge: RunningEdge, way: str) -> tuple[int, bool, str]:
        answer = await edge.get(f"/{way}/echo")
        state = answer.headers.get("ratelimit", "").partition(";t=")[0]
        return answer.status, answer.headers.get("ratelimit-policy") == f'"{way}";q=1;w=3600', state

    async with running_edge(own_redis.url) as edge:
        await put(edge, origin, {way: {"rate": "1/h", "by": "ip", "on_store_loss": way} for way in ways})
        for way in ways:
            state = f'"{way}";r=0'
            assert [await told(edge, way) for _ in range(2)] == [(200, True, state), (429, True, state)]
        await asyncio.to_thread(own_redis.stop)
        assert await told(edge, "local") == (429, True, '"local";r=0')
        for way, status in (("open", 200), ("closed", 503)):
            await until_lost(edge, way, status)
            assert await told(edge, way) == (status, True, "")


async def until_lost(edge: RunningEdge, way: str, status: int) -> None:
    """Ask until a limit does what it declares for a lost store."""
    async with asyncio.timeout(10):
        while (await edge.get(f"/{way}/echo")).status != status:
            pass


async def test_redis_calls_per_thousand_requests_are_read_as_the_readme_says(
    redis_url: str, origin: RunningOrigin
) -> None:
    [(calls, requests)] = CALLS_PER_THOUSAND.findall((ROOT / "edge" / "README.md").read_text())
    async with running_edge(redis_url) as edge:
        await put(edge, origin, {"slow": {"rate": "1000000/s", "burst": 3, "by": "ip"}})
        for path, expected in (("/slow/echo", 1.0), ("/echo", 0.5)):
            assert await statuses(edge, path, 10) == [200] * 10
            page = numbers(edge)
            answered = sum(value for name, value in page.items() if name.startswith(requests))
            # of so small a burst nothing is taken ahead: one call for each
            assert page[calls] / answered == pytest.approx(expected, rel=0.2)


async def test_what_is_leased_and_not_yet_spent_is_the_drift(redis_url: str, origin: RunningOrigin) -> None:
    async with running_edge(redis_url) as edge:
        await put(edge, origin, {"hot": {"rate": "10000/s", "by": "tenant"}})
        assert numbers(edge)["portico_limit_leased_units"] == 0
        async with asyncio.timeout(10):
            while not (held := numbers(edge)["portico_limit_leased_units"]):
                await asyncio.gather(*(edge.get("/hot/echo") for _ in range(20)))
        assert held >= 1
        await until(lambda: numbers(edge)["portico_limit_leased_units"] == 0)  # given back when nobody asks


async def test_requests_that_are_under_way_are_told_while_they_are(redis_url: str, origin: RunningOrigin) -> None:
    async with running_edge(redis_url) as edge:
        await put(edge, origin, {"busy": {"concurrent": 5, "by": "tenant"}})
        slow = asyncio.create_task(edge.get("/busy/delay/0.3"))
        await until(lambda: numbers(edge)["portico_limit_places_taken"] == 1)
        assert (await slow).status == 200
        assert numbers(edge)["portico_limit_places_taken"] == 0
