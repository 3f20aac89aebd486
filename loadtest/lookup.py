"""What it costs to find a route, and what a tenant costs in memory, by the number of domains.

    python -m loadtest lookup [--domains 10 --domains 1000 --domains 100000]

Tenants of two domains each, a host and a mask, and four routes, as a worker holds them: encoded records, taken over
lazily. Then a sample of them is called, which compiles it, and the time of one match is measured on the sample's hosts
in random order: the best of several rounds, less the loop around it. Nothing is asked of a store or of the network.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns

from edge.client_edge.key_cache import KeyCache
from edge.client_edge.key_sets import KeySets
from edge.client_edge.key_usage import KeyUsage
from edge.client_edge.limits import Counting
from edge.client_edge.passwords import PasswordChecks
from edge.client_edge.plan_limits import PlanLimits
from edge.client_edge.token_cache import TokenCache
from edge.compiler import CompiledTenant, Parts, compile_tenant
from edge.errors import EdgeError
from edge.outgoing import Answer, Outgoing
from edge.router import DynamicRouter, Hit
from edge.telemetry.counters import Counters
from edge.tenancy import Tenancy
from edge.upstreams.egress import EgressFilter
from edge.upstreams.live import LiveTargets
from store.changes import Item
from store.client import connect
from store.codec import Envelope, TenantRecord, encode
from store.guards import Guards
from store.limiter import Limiter
from store.model import parse_document

SIZES = (10, 1_000, 100_000)
SAMPLE = 500
ROUNDS = 7
MATCHES = 20_000
WEIGHED = 1_000

# What is asked for: the kind of domain, by the tenant's number, and the path.
CASES: dict[str, tuple[Callable[[int], str], str]] = {
    "exact path": (lambda n: f"shop.t{n}.example", "/v1/status"),
    "prefix": (lambda n: f"shop.t{n}.example", "/v1/orders/2026/11"),
    "parameter": (lambda n: f"shop.t{n}.example", "/users/42"),
    "mask, prefix": (lambda n: f"a.b.t{n}.app.example", "/v1/orders"),
    "no such path": (lambda n: f"shop.t{n}.example", "/nothing"),
    "no such host": (lambda n: f"shop.x{n}.example", "/v1/status"),
}


@dataclass(frozen=True, slots=True)
class Weight:
    """What one tenant takes in memory: held as its record, and held compiled; in bytes."""

    record: float
    compiled: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What was measured with so many domains: nanoseconds for one match, by case."""

    domains: int
    match_ns: dict[str, float]


def item_of(number: int) -> Item:
    """Make the change that brings one tenant."""
    tenant = f"t{number}"
    document = {
        "tenant": tenant,
        "name": f"Tenant {number}",
        "domains": [
            {"host": f"shop.{tenant}.example", "verified_by": "operator"},
            {"host": f"*.{tenant}.app.example", "verified_by": "operator"},
        ],
        "upstreams": {"app": {"targets": [f"http://10.{number >> 16}.{number >> 8 & 255}.{number & 255}:9000"]}},
        "routes": [
            {"name": "status", "path": "/v1/status", "methods": ["GET"], "upstream": "app"},
            {"name": "api", "path": "/v1/*", "upstream": "app"},
            {"name": "user", "path": "/users/{id}", "methods": ["GET", "PUT"], "upstream": "app"},
            {"name": "public", "path": "/public/*", "upstream": "app"},
        ],
    }
    return Item(tenant, number + 1, number + 1, encode(TenantRecord(document), str(document["tenant"])), 0)


async def no_issuer(_tenant: str, _url: str) -> Answer:
    """Answer for the issuers of tokens, of which there are none."""
    raise EdgeError("auth_unavailable")


async def _nobody(_uses: object) -> None:
    """Note nothing: no key is used."""


@contextmanager
def empty_worker() -> Iterator[tuple[DynamicRouter, Tenancy]]:
    """Make the part of a worker that holds tenants; its store is never asked, because no route has a limit or a key."""
    client = connect("redis://127.0.0.1:1", "data")
    keys = KeyCache(lambda _tenant, _key_id: asyncio.sleep(0, None))
    allows = EgressFilter().allows
    targets, limiter, outgoing = LiveTargets(allows), Limiter(client, lambda: 1), Outgoing(allows)
    counting = Counting(limiter, Guards(client, "loadtest", lambda: 1), Counters())
    key_sets, passwords, usage = KeySets(no_issuer), PasswordChecks(), KeyUsage(_nobody)
    parts = Parts(targets, keys, counting, PlanLimits(), key_sets, TokenCache(), outgoing, passwords, usage)

    def compile_record(_tenant: str, revision: int, envelope: Envelope) -> CompiledTenant:
        return compile_tenant(parse_document(envelope.record().document), envelope.hosts, revision, parts)

    router = DynamicRouter()
    tenancy = Tenancy(router, compile_record, keys.forget)
    try:
        yield router, tenancy
    finally:
        tenancy.close()


def find(router: DynamicRouter, questions: Sequence[tuple[str, str]]) -> int:
    """Match every question; the number of hits."""
    return sum(isinstance(router.match(host, path, "GET"), Hit) for host, path in questions)


def match_ns(router: DynamicRouter, questions: Sequence[tuple[str, str]]) -> float:
    """Measure one match, without the loop around it."""
    best = best_idle = float("inf")
    match = router.match
    for _ in range(ROUNDS):
        started = perf_counter_ns()
        for host, path in questions:
            match(host, path, "GET")
        between = perf_counter_ns()
        for _host, _path in questions:
            pass
        best = min(best, between - started)
        best_idle = min(best_idle, perf_counter_ns() - between)
    return (best - best_idle) / len(questions)


async def measure(domains: int) -> Findings:
    """Fill a router with tenants and measure."""
    tenants = range(max(1, domains // 2))
    with empty_worker() as (router, tenancy):
        for number in tenants:
            tenancy.apply(item_of(number), is_lazy=True)
        chosen = random.Random(1).choices(tenants, k=SAMPLE)
        findings = {}
        for case, (host_of, path) in CASES.items():
            questions = [(host_of(n), path) for n in chosen] * (MATCHES // SAMPLE)
            expected = 0 if case.startswith("no ") else len(questions)
            if find(router, questions) != expected:  # which compiles whoever has not been called yet
                raise AssertionError(f"{case}: not what was asked for")
            findings[case] = match_ns(router, questions)
    return Findings(domains, findings)


async def weigh() -> Weight:
    """Measure what a thousand tenants take, as records and then compiled."""
    items = [item_of(number) for number in range(WEIGHED)]
    with empty_worker() as (router, tenancy):
        tracemalloc.start()
        try:
            # The payloads were made before, and are the worker's too.
            payloads = sum(sys.getsizeof(item.payload) for item in items)
            for item in items:
                tenancy.apply(item, is_lazy=True)
            gc.collect()
            record = tracemalloc.get_traced_memory()[0] + payloads
            find(router, [(f"shop.t{number}.example", "/v1/status") for number in range(WEIGHED)])
            gc.collect()
            compiled = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    return Weight(record / WEIGHED, compiled / WEIGHED)


def report(findings: Sequence[Findings], weight: Weight) -> Iterator[str]:
    """Write what was found, a line at a time."""
    yield f"{'ns per match':16}" + "".join(f"{each.domains:>14,} domains" for each in findings)
    for case in CASES:
        yield f"{case:16}" + "".join(f"{each.match_ns[case]:>22,.0f}" for each in findings)
    yield f"bytes per tenant (2 domains, 4 routes): {weight.record:,.0f} as its record, {weight.compiled:,.0f} compiled"


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m loadtest lookup", description="What finding a route costs.")
    parser.add_argument("--domains", type=int, action="append", help="how many; may be repeated")
    options = parser.parse_args(argv)
    findings = [asyncio.run(measure(domains)) for domains in options.domains or SIZES]
    for line in report(findings, asyncio.run(weigh())):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
