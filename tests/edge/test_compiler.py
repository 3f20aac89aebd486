"""From a document to the tables of its hosts, and what a tenant holds and gives back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from multidict import CIMultiDict

import edge.compiler
from edge.client_edge.key_cache import KeyCache
from edge.client_edge.key_sets import KeySets
from edge.client_edge.key_usage import KeyUsage
from edge.client_edge.limits import Counting
from edge.client_edge.passwords import PasswordChecks
from edge.client_edge.plan_limits import PlanLimits
from edge.client_edge.token_cache import TokenCache
from edge.compiler import CompiledTenant, Entry, Parts, compile_tenant
from edge.outgoing import Answer, Outgoing
from edge.router import DynamicRouter, Hit, Miss
from edge.telemetry.counters import Counters
from edge.upstreams.egress import EgressFilter
from edge.upstreams.group import SplitTransport, UpstreamGroup
from edge.upstreams.live import LiveTargets, TargetKey
from store.client import connect
from store.guards import Guards
from store.limiter import Limiter
from store.model import parse_document

HEALTH = {"path": "/healthz", "interval": "1h"}


@contextmanager
def worker() -> Iterator[Parts]:
    """The parts that compiled routes use; nothing in here asks the store."""
    client = connect("redis://127.0.0.1:1", "data")
    allows = EgressFilter().allows
    targets, limiter, outgoing = LiveTargets(allows), Limiter(client, lambda: 1), Outgoing(allows)
    counting = Counting(limiter, Guards(client, "test", lambda: 1), Counters())
    key_sets, passwords, usage = KeySets(nobody_asks), PasswordChecks(), KeyUsage(no_use)
    yield Parts(targets, KeyCache(no_key), counting, PlanLimits(), key_sets, TokenCache(), outgoing, passwords, usage)


async def nobody_asks(tenant: str, url: str) -> Answer:
    raise AssertionError(url)


async def no_use(uses: object) -> None:
    return None


async def no_key(tenant: str, key_id: str) -> None:
    return None


def document(*routes: dict[str, Any], **fields: Any) -> dict[str, Any]:
    plain = [{"name": "all", "path": "/*", "upstream": "app"}]
    return {
        "tenant": "acme",
        "domains": ["a.test", "b.test", "*.a.test"],
        "upstreams": {"app": {"targets": ["http://t1:1"]}, "new": {"targets": ["http://t2:1", "http://t3:1"]}},
        "auth": {"keys": {"type": "api_key"}},
        "limits": {"ip": {"rate": "1/s", "by": "ip"}},
        "routes": list(routes) or plain,
        **fields,
    }


def compiled(raw: dict[str, Any], parts: Parts, hosts: tuple[str, ...] = ("a.test", "b.test")) -> CompiledTenant:
    return compile_tenant(parse_document(raw), hosts, 7, parts)


def route(**fields: Any) -> dict[str, Any]:
    return {"name": "all", "path": "/*", "upstream": "app", **fields}


def entry_of(tenant: CompiledTenant, host: str = "a.test", path: str = "/x", method: str = "GET") -> Entry:
    found = tenant.tables[host].match(path, method, CIMultiDict(), "")
    assert isinstance(found, Hit)
    entry = found.entry
    assert isinstance(entry, Entry)
    return entry


async def test_an_entry_names_its_tenant_route_and_revision() -> None:
    with worker() as parts:
        entry = entry_of(compiled(document(), parts))
        assert (entry.tenant, entry.route, entry.revision) == ("acme", "all", 7)
        assert isinstance(entry.handler._transport, UpstreamGroup)


async def test_only_served_hosts_have_tables() -> None:
    with worker() as parts:
        assert set(compiled(document(), parts, ("a.test",)).tables) == {"a.test"}


async def test_hosts_with_the_same_routes_share_a_table_and_others_have_their_own() -> None:
    routes = [route(), {"name": "b", "path": "/b", "upstream": "app", "domains": ["b.test"]}]
    with worker() as parts:
        tables = compiled(document(*routes), parts, ("a.test", "b.test", "*.a.test")).tables
        assert tables["a.test"] is tables["*.a.test"]
        assert tables["a.test"] is not tables["b.test"]
        found = tables["b.test"].match("/b", "GET", CIMultiDict(), "")
        assert isinstance(found, Hit)
        assert found.entry.route == "b"


async def test_a_router_serves_what_was_compiled() -> None:
    routes = [
        route(methods=["GET"]),
        {"name": "canary", "path": "/v1", "upstream": "new", "match": {"headers": {"X-Canary": "1"}}},
    ]
    with worker() as parts:
        router = DynamicRouter()
        router.swap("acme", compiled(document(*routes), parts).tables)
        hit = router.match("a.test", "/v1", "GET", CIMultiDict({"x-canary": "1"}))
        assert isinstance(hit, Hit)
        assert hit.entry.route == "canary"
        miss = router.match("a.test", "/v2", "POST")
        assert isinstance(miss, Miss)
        assert miss.allow == {"GET", "HEAD"}


@pytest.mark.parametrize(
    ("fields", "phases"),
    [
        ({}, []),
        ({"max_body": "1KiB"}, [0]),
        ({"websocket": False}, [0]),
        ({"auth": ["keys"]}, [1]),
        ({"limits": ["ip"]}, [2]),
        ({"auth": ["keys"], "limits": ["ip"], "max_body": 10}, [0, 1, 2]),
    ],
)
async def test_a_concern_that_a_route_does_not_have_costs_nothing(fields: dict[str, Any], phases: list[int]) -> None:
    with worker() as parts:
        handler = entry_of(compiled(document(route(**fields)), parts)).handler
        assert [each.phase for each in handler._middlewares] == phases


async def test_a_route_with_everything_runs_no_two_checks_at_once() -> None:
    rules = {"set": {"X-A": "1"}, "remove": ["X-B"]}
    everything = route(
        max_body=10, websocket=False, auth=["keys"], limits=["ip"], headers={"request": rules, "response": rules}
    )
    with worker() as parts:
        phases = [each.phase for each in entry_of(compiled(document(everything), parts)).handler._middlewares]
        # Two in one phase are gathered: two tasks for each request, where one after the other costs none.
        assert len(phases) == len(set(phases))
        assert phases == sorted(phases)


async def test_a_split_goes_to_the_groups_of_its_upstreams() -> None:
    shares = [{"upstream": "app", "weight": 9}, {"upstream": "new", "weight": 1}]
    with worker() as parts:
        split = {"name": "all", "path": "/*", "split": shares}
        transport = entry_of(compiled(document(split), parts)).handler._transport
        assert isinstance(transport, SplitTransport)
        assert [len(group._members) for group in transport._groups] == [1, 2]


async def test_what_is_held_is_given_back_once() -> None:
    with worker() as parts:
        tenant = compiled(document(), parts)
        assert len(parts.targets) == 3
        tenant.release()
        tenant.release()
        assert len(parts.targets) == 0


JWT = {"type": "jwt", "issuer": "https://id.test/", "audience": "a", "jwks_url": "https://id.test/jwks"}


async def test_a_key_set_is_held_once_for_all_routes_and_given_back_with_the_last_document_that_names_it() -> None:
    routes = [route(auth=["users"]), {"name": "b", "path": "/b", "upstream": "app", "auth": ["users", "others"]}]
    auth = {"users": JWT, "others": {**JWT, "audience": "b"}, "idle": {**JWT, "jwks_url": "https://idle.test/jwks"}}
    with worker() as parts:
        before = compiled(document(*routes, auth=auth), parts)
        assert len(parts.key_sets) == 1  # nobody asks for what no route names
        after = compiled(document(*routes, auth=auth), parts)
        before.release()
        assert len(parts.key_sets) == 1
        compiled(document(), parts).release()
        after.release()
        after.release()
        assert len(parts.key_sets) == 0


async def test_a_successor_takes_over_the_targets_it_shares() -> None:
    with worker() as parts:
        before = compiled(document(), parts)
        live = dict(parts.targets._targets)
        after = compiled(document(upstreams={"app": {"targets": ["http://t1:1"]}}), parts)
        before.release()
        assert list(parts.targets._targets.values()) == [live[TargetKey("acme", "app", "http://t1:1")]]
        after.release()


async def test_a_tenant_that_does_not_compile_holds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unforeseen(_: object) -> None:
        raise RuntimeError("unforeseen")

    with worker() as parts:
        before = asyncio.all_tasks()
        monkeypatch.setattr(edge.compiler, "compile_rewrite", unforeseen)
        raw = document(route(rewrite={"strip_prefix": "/v1"}, auth=["users"]), auth={"users": JWT})
        raw["upstreams"]["app"]["health"] = HEALTH
        with pytest.raises(RuntimeError):
            compiled(raw, parts)
        assert (len(parts.targets), len(parts.key_sets)) == (0, 0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before


@pytest.mark.parametrize("hosts", [(), ("a.test",)])
async def test_only_a_tenant_that_is_served_has_its_targets_checked(hosts: tuple[str, ...]) -> None:
    with worker() as parts:
        before = asyncio.all_tasks()
        raw = document()
        raw["upstreams"]["app"]["health"] = HEALTH
        tenant = compiled(raw, parts, hosts)
        checks = asyncio.all_tasks() - before
        assert len(checks) == len(hosts)
        tenant.release()
        await asyncio.wait_for(asyncio.gather(*checks, return_exceptions=True), 20)
