"""portico limits: what is counted now, for people and for programs."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from store.client import connect
from store.decisions import Take
from store.guards import Guards, Place
from store.limiter import Limiter
from tenants.commands import limits
from tests.tenants.plane import Plane
from tests.tenants.portico import Portico

LIMITS = {
    "per-key": {"rate": "10/h", "burst": 20, "by": "key"},
    "month": {"quota": "1000/month", "by": "key", "shadow": True},
    "busy": {"concurrent": 4, "by": "tenant"},
    "unused": {"rate": "600/m", "by": "ip"},
}


@pytest_asyncio.fixture
async def counted(plane: Plane) -> AsyncIterator[Plane]:
    """Tenant acme, of whose limits something is used."""
    await plane.put("acme", limits=LIMITS)
    async with connect(plane.redis_url, "data") as client:
        limiter, guards = Limiter(client, lambda: 1), Guards(client, "n/0/1", lambda: 1)
        for key, times in (("k1", 3), ("k2", 18)):
            for _ in range(times):
                await limiter.take("acme", [Take("per-key", key, 10, 3600, 20)])
        await limiter.take("acme", [Take("month", "k1", 1000, 1, 1000, cost=7, window="month")])
        await limiter.take("acme", [Take("removed", "192.0.2.1", 1, 60, 1)])
        await limiter.aclose()
        await guards.enter("acme", Place("busy", "", 4))
        yield plane
        await guards.aclose()


async def test_the_table_shows_who_has_used_how_much_most_used_first(portico: Portico, counted: Plane) -> None:
    shown = await portico.ok("limits", "acme")
    heads, *rows = [re.split(r"  +", line.strip()) for line in shown.out.splitlines()]
    assert heads == ["limit", "rule", "key", "used", "of", "left", "back in", "note"]
    assert [row[:6] for row in rows] == [
        ["per-key", "10/h", "k2", "18", "20", "2"],
        ["busy", "4 at once", "-", "1", "4", "3"],
        ["per-key", "10/h", "k1", "3", "20", "17"],
        ["month", "1000/month", "k1", "7", "1000", "993"],
        ["removed", "rate", "192.0.2.1", "-", "-", "-"],
        ["unused", "600/m", "-", "0", "600", "600"],
    ]
    assert [row[7] for row in rows] == ["-", "on 1 worker", "-", "shadow", "not in force", "nobody now"]
    assert [rows[0][6], rows[2][6]] == ["108 min", "18 min"]
    assert re.fullmatch(r"\d+ (d|h|min|s)", rows[3][6])
    at = shown.out.splitlines()[0].index("used")
    assert [line[at : at + 6] for line in shown.out.splitlines()] == [
        "used  ", "  18  ", "   1  ", "   3  ", "   7  ", "   -  ", "   0  "
    ]  # fmt: skip
    assert shown.err == ""


async def test_one_limit_or_one_caller_alone_is_shown(portico: Portico, counted: Plane) -> None:
    async def shown(*options: str) -> list[list[str]]:
        return [line.split()[:1] for line in (await portico.ok("limits", "acme", *options)).out.splitlines()[1:]]

    assert await shown("--limit", "per-key") == [["per-key"], ["per-key"]]
    assert await shown("--limit", "unused") == [["unused"]]
    assert await shown("--key", "k1") == [["per-key"], ["month"]]
    assert await shown("--limit", "per-key", "--key", "k1") == [["per-key"]]
    nobody = await portico.ok("limits", "acme", "--key", "k3")
    assert (nobody.out, nobody.lines) == ("", ["nothing is counted of tenant acme by that"])


@pytest.mark.parametrize("options", [(), ("--output", "json"), ("--key", "k1")])
async def test_a_limit_that_the_tenant_has_not_is_refused_with_those_it_has(
    portico: Portico, counted: Plane, options: tuple[str, ...]
) -> None:
    refused = await portico("limits", "acme", "--limit", "per-kye", *options)
    assert (refused.status, refused.out) == (1, "")
    assert refused.lines == [
        "portico: tenant acme has no limit 'per-kye'; did you mean 'per-key'?",
        "  it has busy, month, per-key, unused",
    ]


async def test_a_limit_that_is_no_more_is_shown_while_it_is_counted(portico: Portico, counted: Plane) -> None:
    shown = await portico.ok("limits", "acme", "--limit", "removed")
    assert [line.split()[0] for line in shown.out.splitlines()[1:]] == ["removed"]


async def test_programs_get_all_of_it(portico: Portico, counted: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PAGE", "2")
    monkeypatch.setattr(limits, "MOST_SHOWN", 2)
    found = (await portico.ok("limits", "acme", "-o", "json")).data
    assert {one["name"]: one["kind"] for one in found["limits"]} == {
        "per-key": "rate", "month": "quota", "busy": "concurrent", "unused": "rate"
    }  # fmt: skip
    first, *_ = found["items"]
    assert first | {"back_in_s": 0} == {
        "name": "per-key", "key": "k2", "kind": "rate", "used": 18, "most": 20, "left": 2, "owed": 0, "back_in_s": 0,
        "workers": None, "shadow": False, "in_force": True,
    }  # fmt: skip
    assert len(found["items"]) == 5
    short = await portico.ok("limits", "acme")
    assert len(short.out.splitlines()) == 1 + 2 + 1  # heads, the most used, those of nobody
    assert short.lines == ["and 3 more that are used less: see --limit, --key or --output json"]


async def test_a_tenant_without_limits_has_nothing_to_show(portico: Portico, acme: Plane) -> None:
    nothing = await portico.ok("limits", "acme")
    assert (nothing.out, nothing.lines) == ("", ["nothing is counted of tenant acme"])
    unknown = await portico("limits", "acme", "--limit", "per-key")
    assert (unknown.status, unknown.lines) == (1, ["portico: tenant acme has no limit 'per-key'", "  it has none"])
    gone = await portico("limits", "nobody")
    assert (gone.status, gone.lines) == (1, ["portico: there is no tenant 'nobody'"])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, None), (0.04, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"),
     (7200, "2 h"), (172_799, "48 h"), (172_800, "2 d")],
)  # fmt: skip
def test_a_time_is_said_in_the_unit_that_fits(seconds: Any, words: Any) -> None:
    assert limits._time(seconds) == words
