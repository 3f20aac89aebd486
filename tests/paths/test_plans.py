"""Plans from end to end: what an operator allows every tenant of a plan, whatever the tenant writes."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

from store import keys
from store.catalog import Change
from store.client import connect
from store.codec import TenantRecord
from store.model import PLANS
from tests.fakes.dev import shell
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.origins import CLOSE, READ_HEAD, Send, Wait, refusing_port, running_evil_origin, running_origin
from tests.fakes.source import ROOT
from tests.fakes.waiting import until
from tests.tenants.plane import OPERATOR, running_plane


async def put_plans(edge: RunningEdge, **plans: dict[str, Any]) -> None:
    """Commit plans by their limits, and wait until the worker serves them."""
    record = TenantRecord({"plans": {name: {"limits": limits} for name, limits in plans.items()}})
    commit = await edge.catalog.commit(Change(PLANS, record), None)
    await edge.reached(commit.revision)


def document(url: str, tenant: str = "acme", **fields: Any) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "domains": [{"host": f"{tenant}.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": [url]}},
        "routes": [{"name": "all", "path": "/*", "upstream": "app"}],
        **fields,
    }


def hourly(count: int) -> dict[str, Any]:
    return {"all": {"rate": f"{count}/h", "by": "tenant"}}


async def statuses(edge: RunningEdge, times: int, tenant: str = "acme") -> list[int]:
    return [(await edge.get("/echo", f"{tenant}.test")).status for _ in range(times)]


async def test_a_plan_holds_its_tenants_and_the_default_one_those_that_name_none(redis_url: str) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin:
        await put_plans(edge, default=hourly(1), gold=hourly(2))
        await edge.put(document(origin.url, "acme", plan="gold"))
        await edge.put(document(origin.url, "globex"))
        assert await statuses(edge, 3, "acme") == [200, 200, 429]
        assert await statuses(edge, 2, "globex") == [200, 429]
        answer = await edge.get("/echo", "acme.test")
        assert answer.headers["ratelimit-policy"] == '"@all";q=2;w=3600'


async def test_a_tenant_can_have_less_than_its_plan_allows_and_never_more(redis_url: str) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin:
        await put_plans(edge, default=hourly(2))
        for tenant, own, expected in (("less", 1, [200, 429, 429]), ("more", 5, [200, 200, 429])):
            limits = {"all": {"rate": f"{own}/h", "by": "tenant", "every_route": True}}
            await edge.put(document(origin.url, tenant, limits=limits))
            assert await statuses(edge, 3, tenant) == expected


async def test_a_plan_that_changes_is_served_at_once_to_those_who_were_served_before(redis_url: str) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin:
        await edge.put(document(origin.url))
        assert await statuses(edge, 3) == [200, 200, 200]
        await put_plans(edge, default=hourly(1))
        assert await statuses(edge, 2) == [200, 429]
        await put_plans(edge, default={})
        assert await statuses(edge, 2) == [200, 200]


async def test_a_tenant_of_a_plan_that_is_not_there_keeps_what_was_served_of_it(redis_url: str) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin:
        await edge.put(document(origin.url))
        assert await statuses(edge, 1) == [200]
        await edge.put(document(origin.url, plan="gold"))
        assert await statuses(edge, 1) == [200]
        assert edge.worker.tenancy.refused["acme"].reason == "there is no plan 'gold'"
        await put_plans(edge, gold=hourly(1))
        assert await statuses(edge, 2) == [200, 429]
        assert not edge.worker.tenancy.refused


async def test_a_request_under_way_ends_with_what_it_began_with_whatever_the_plans_become(redis_url: str) -> None:
    may_answer, answer = asyncio.Event(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    slow = running_evil_origin(READ_HEAD, Wait(may_answer), answer, CLOSE, then=(READ_HEAD, answer, CLOSE))
    async with running_edge(redis_url) as edge, slow as origin:
        await edge.put(document(origin.url))
        asking = asyncio.create_task(edge.get("/", "acme.test"))
        await origin.connected(1)
        await put_plans(edge, default=hourly(1))
        assert await statuses(edge, 2) == [200, 429]
        may_answer.set()
        ended = await asking
        assert (ended.status, "ratelimit-policy" in ended.headers) == (200, False)


async def test_what_is_known_of_targets_outlives_a_change_of_the_plans(redis_url: str) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin:
        with refusing_port() as dead:
            targets = {"app": {"targets": [f"http://127.0.0.1:{dead}", origin.url]}}
            await edge.put(document(origin.url, upstreams=targets))
            assert await statuses(edge, 12) == [200] * 12
            before = to_targets(edge)
            assert before["portico_upstream_ejections_total"] == 1
            await put_plans(edge, default=hourly(3))
            assert to_targets(edge) == before
            assert await statuses(edge, 4) == [200, 200, 200, 429]
            assert to_targets(edge) == before


def to_targets(edge: RunningEdge) -> dict[str, float]:
    """Tell what was counted of retries, ejections and connections; nothing of it may begin anew."""
    return {
        name: count
        for name, count in edge.worker.samples().items()
        if name.startswith("portico_upstream_") and "reuse" not in name
    }


async def test_a_plan_that_is_dropped_leaves_its_tenants_with_what_they_were_served_by(redis_url: str) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin:
        await put_plans(edge, gold=hourly(2))
        await edge.put(document(origin.url, plan="gold"))
        assert await statuses(edge, 1) == [200]
        await put_plans(edge)
        assert await statuses(edge, 2) == [200, 429]
        refusal = edge.worker.tenancy.refused["acme"]
        assert (refusal.reason, refusal.serving) == ("there is no plan 'gold'", refusal.revision)


async def test_the_default_plan_may_be_missing_also_where_it_is_named(redis_url: str) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin:
        await put_plans(edge, gold=hourly(1))
        await edge.put(document(origin.url, plan="default"))
        assert await statuses(edge, 2) == [200, 200]
        await put_plans(edge, default=hourly(1))
        assert await statuses(edge, 2) == [200, 429]


async def test_plans_that_cannot_be_used_change_nothing_and_are_told(redis_url: str) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin:
        await put_plans(edge, default=hourly(1))
        await edge.put(document(origin.url))
        await put_plans(edge, default={"all": {"rate": "fast", "by": "tenant"}})
        assert await statuses(edge, 2) == [200, 429]
        assert edge.worker.tenancy.refused[PLANS].reason.startswith("plans.default.limits.all.rate: ")
        await put_plans(edge, default={})
        assert await statuses(edge, 1) == [200]
        assert not edge.worker.tenancy.refused


async def test_unreadable_plans_limit_at_a_running_worker_as_before_and_at_a_new_one_as_their_history_says(
    redis_url: str,
) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin, connect(redis_url, "control") as raw:
        await put_plans(edge, default=hourly(3), gold=hourly(2))
        await edge.put(document(origin.url))
        await edge.put(document(origin.url, "globex", plan="gold"))
        assert await statuses(edge, 1) == [200]
        await raw.ask("HSET", keys.documents(), PLANS, b"garbage" * 5)
        await until(lambda: PLANS in edge.worker.tenancy.refused)
        assert await statuses(edge, 1) == [200]
        async with running_edge(redis_url, node="new") as new, running_plane(redis_url) as plane:
            assert await statuses(new, 2) == [200, 429]
            assert await statuses(new, 3, "globex") == [200, 200, 429]
            for each in (edge, new):
                [said] = each.worker.config()["refused"]
                assert (said["tenant"], said["revision"], said["serving"]) == (PLANS, 1, 1)
            told: dict[str, int] = {}
            async with asyncio.timeout(5.0):
                while len(told) < 2:
                    nodes = (await plane.ask("GET", "/v1/nodes")).body
                    told = {one["node"]: no["serving"] for one in nodes["workers"] for no in one["refused"]}
            assert told == {"test": 1, "new": 1}


async def test_plans_and_a_tenant_gone_by_a_hand_hold_at_a_new_worker_and_at_one_that_reads_all_anew(
    redis_url: str,
) -> None:
    async with running_edge(redis_url) as edge, running_origin() as origin, connect(redis_url, "control") as raw:
        await put_plans(edge, default=hourly(4), gold=hourly(2))
        await edge.put(document(origin.url))
        await edge.put(document(origin.url, "globex", plan="gold"))
        await raw.ask("HDEL", keys.documents(), PLANS, "globex")
        async with running_edge(redis_url, node="new") as new:
            assert set(new.worker.tenancy.refused) == {PLANS, "globex"}
            assert await statuses(new, 3) == [200] * 3
            assert await statuses(new, 3, "globex") == [200, 200, 429]
        await raw.ask("SET", keys.run(), "another")
        await until(lambda: edge.worker.watcher.position.run == "another")
        assert set(edge.worker.tenancy.refused) == {PLANS, "globex"}
        assert await statuses(edge, 2) == [200, 429]
        assert await statuses(edge, 1, "globex") == [429]


async def test_plans_are_no_tenant(redis_url: str) -> None:
    async with running_edge(redis_url) as edge:
        await put_plans(edge, default=hourly(1))
        assert (await edge.catalog.tenants()).items == []
        assert (await edge.catalog.get(PLANS)) is not None


async def test_the_example_of_the_control_planes_readme_works_as_written(redis_url: str, tmp_path: Path) -> None:
    section = (ROOT / "tenants" / "README.md").read_text().partition("## Plans\n")[2]
    [files] = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    [script] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    expected = re.findall(r"^curl .* # (\d{3})\b", script, re.MULTILINE)
    (tmp_path / "portico").write_text(f'#!/bin/sh\nexec {sys.executable} -m tenants "$@"\n')
    (tmp_path / "portico").chmod(0o755)
    async with running_edge(redis_url) as edge, running_origin() as origin, running_plane(redis_url) as plane:
        (tmp_path / "plans.yaml").write_text(files.replace("127.0.0.1:9000", origin.url.removeprefix("http://")))
        typed = 'PATH="$PWD:$PATH"\n' + script.replace("127.0.0.1:8080", f"127.0.0.1:{edge.port}")
        env = {"PORTICO_ADMIN_URL": plane.url, "PORTICO_TOKEN": OPERATOR}
        said = await asyncio.to_thread(shell, typed, tmp_path, **env)
    assert re.search(r"^@plans +created .*applied by 1 of 1 workers$", said, re.MULTILINE)
    assert re.findall(r"^HTTP/1\.1 (\d{3}) ", said, re.MULTILINE) == expected
    assert expected == ["200", "200", "200", "429"]
    assert '"@trial";q=1;w=3600' in said
