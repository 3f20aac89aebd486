"""From commit to served: how long until every worker of a node serves a change.

    python -m loadtest propagation [--changes 500] [--tenants 1000] [--workers 2]

Measured by requests through the edge. To each worker there is one keep-alive connection (whose it is, is read from the
system's table of connections), and requests follow each other on it without a pause. The clock starts before the commit
is sent to Redis and stops when the last worker has given its first answer with the change in it; so the time includes
the commit itself, and the request that found the change, to the upstream and back.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import psutil
import uvloop

from loadtest.node import Node, change_of, put_tenant, running_node, running_origin_process
from store.catalog import Catalog
from store.client import connect
from store.embedded import RedisProcess

MEDIAN_BAR_MS = 5.0
P99_BAR_MS = 25.0
TIMEOUT_S = 5.0
MAX_CONNECTIONS = 200
BUCKETS_MS = (1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 25.0, 50.0, 100.0, 1000.0)
FIELD = b"x-change: "


@dataclass(frozen=True, slots=True)
class Scale:
    """How much to measure."""

    changes: int
    tenants: int
    workers: int


@dataclass(frozen=True, slots=True)
class WorkerLink:
    """A keep-alive connection to one worker."""

    pid: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def change_served(self, host: str) -> bytes:
        """Ask once; returns the change that the answer bears, b"" for none."""
        self.writer.write(f"GET /probe HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = _field(head, b"content-length: ")
        await self.reader.readexactly(int(length or 0))
        return _field(head, FIELD)

    async def until(self, host: str, wanted: bytes) -> float:
        """Ask until this change is served; returns when that was. Raises TimeoutError."""
        async with asyncio.timeout(TIMEOUT_S):
            while await self.change_served(host) != wanted:
                pass
        return perf_counter()


def _field(head: bytes, name: bytes) -> bytes:
    return head.partition(name)[2].partition(b"\r\n")[0]


def document(number: int, origin: str, change: int) -> dict[str, Any]:
    """Return tenant `number`: five routes, one of which says the change on every answer."""
    others = [{"name": f"r{n}", "path": f"/r{n}/*", "upstream": "web"} for n in range(4)]
    probe = {
        "name": "probe",
        "path": "/probe",
        "upstream": "web",
        "rewrite": {"from": "/probe", "to": "/status/200"},
        "headers": {"response": {"set": {"X-Change": str(change)}}},
    }
    return {
        "tenant": f"t{number}",
        "domains": [{"host": host_of(number), "verified_by": "operator"}],
        "upstreams": {"web": {"targets": [origin]}},
        "routes": [*others, probe],
    }


def host_of(number: int) -> str:
    """Return the host of tenant `number`."""
    return f"t{number}.example.com"


async def measure(scale: Scale) -> list[float]:
    """Set everything up, make the changes one after the other, and return the milliseconds of each."""
    with tempfile.TemporaryDirectory(prefix="portico-") as folder, RedisProcess(Path(folder)) as redis:
        async with connect(redis.url, "control") as client, running_origin_process() as port:
            catalog, origin = Catalog(client), f"http://127.0.0.1:{port}"
            for number in range(scale.tenants):
                await put_tenant(catalog, document(number, origin, 0))
            async with running_node(redis.url, workers=scale.workers) as node, links_to_all(node) as links:
                for link in links:
                    await link.until(host_of(0), b"0")
                return [
                    await _one_change(catalog, links, document(number, origin, change))
                    for change, number in enumerate(_tenants_to_change(scale), 1)
                ]


def _tenants_to_change(scale: Scale) -> list[int]:
    chance = random.Random(1)
    return [chance.randrange(scale.tenants) for _ in range(scale.changes)]


async def _one_change(catalog: Catalog, links: Sequence[WorkerLink], changed: Mapping[str, Any]) -> float:
    host, wanted = changed["domains"][0]["host"], changed["routes"][-1]["headers"]["response"]["set"]["X-Change"]
    commit = change_of(changed)
    waiting = [asyncio.create_task(link.until(host, wanted.encode())) for link in links]
    await asyncio.sleep(0.002)  # requests are under way on every worker when the commit is made
    started = perf_counter()
    await catalog.commit(commit, None)
    return (max(await asyncio.gather(*waiting)) - started) * 1000


@asynccontextmanager
async def links_to_all(node: Node) -> AsyncIterator[list[WorkerLink]]:
    """Open connections until there is one to each worker; the kernel chooses, so some are opened in vain."""
    wanted = set(await node.worker_pids())
    links: dict[int, WorkerLink] = {}
    writers = []
    try:
        for _ in range(MAX_CONNECTIONS):
            if wanted <= set(links):
                break
            reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
            writers.append(writer)
            # Only a connection that has been served is surely a worker's and not still in a queue.
            link = WorkerLink(0, reader, writer)
            await link.change_served(host_of(0))
            pid = owner_of(writer.get_extra_info("sockname")[1], wanted)
            links.setdefault(pid, WorkerLink(pid, reader, writer))
        else:
            raise TimeoutError("not every worker gets connections")
        yield [links[pid] for pid in sorted(wanted)]
    finally:
        for writer in writers:
            writer.close()


def owner_of(port: int, pids: set[int]) -> int:
    """Return which of the processes has the other end of the connection from this local port."""
    for pid in pids:
        if any(each.raddr and each.raddr.port == port for each in psutil.Process(pid).net_connections("tcp")):
            return pid
    raise LookupError(f"no worker has a connection from port {port}")


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that is at least as large as this share of all (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]


def report(times_ms: Sequence[float], scale: Scale) -> str:
    """Write the figures and the distribution."""
    ordered = sorted(times_ms)
    figures = [
        f"median {percentile(ordered, 50):.2f} ms (bar {MEDIAN_BAR_MS:g})",
        f"p90 {percentile(ordered, 90):.2f}",
        f"p99 {percentile(ordered, 99):.2f} (bar {P99_BAR_MS:g})",
        f"max {ordered[-1]:.2f}",
    ]
    lines = [
        f"{scale.changes} single-route changes, {scale.tenants} tenants loaded, {scale.workers} workers",
        f"commit -> served by all workers: {', '.join(figures)}",
        "",
    ]
    low = 0.0
    for high in BUCKETS_MS:
        count = sum(low <= value < high for value in ordered)
        lines.append(f"{low:7.1f} - {high:6.1f} ms {count:5d} {'#' * math.ceil(count * 60 / len(ordered))}")
        low = high
    return "\n".join(lines)


def is_within_bars(times_ms: Sequence[float]) -> bool:
    """Say whether the promise is kept."""
    ordered = sorted(times_ms)
    return percentile(ordered, 50) <= MEDIAN_BAR_MS and percentile(ordered, 99) <= P99_BAR_MS


def main(argv: Sequence[str]) -> int:
    """Measure and print; returns 1 when the promise is not kept."""
    parser = argparse.ArgumentParser(prog="python -m loadtest propagation", description=__doc__.partition("\n")[0])
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    scale = Scale(**vars(parser.parse_args(argv)))
    times_ms = uvloop.run(measure(scale))
    sys.stdout.write(report(times_ms, scale) + "\n")
    return 0 if is_within_bars(times_ms) else 1
