"""Portico: a master and one worker, with a Redis of its own."""

from __future__ import annotations

import importlib.metadata
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from loadtest.compare.machine import on_core
from loadtest.compare.population import callers_of, members, plain_document, put_all
from loadtest.compare.processes import said_by
from loadtest.compare.stage import PLAIN_HOST, Caller, Running, Stage, System
from loadtest.node import put_tenant, running_node
from store.catalog import Catalog
from store.client import connect
from store.embedded import RedisProcess

SCENARIOS = frozenset({"forward", "full", "full-100", "full-100k", "stream", "websocket", "idle", "latency"})
ROOT = Path(__file__).resolve().parents[3]
CONNECTION_BOUNDS = ("PORTICO_MAX_CONNECTIONS", "PORTICO_MAX_PER_ADDRESS", "PORTICO_MAX_PER_TENANT")


def version() -> str | None:
    """Say which Portico this is, and which commit where there is one."""
    described = said_by(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]).strip()
    try:
        return f"{importlib.metadata.version('portico')} {described}".strip()
    except importlib.metadata.PackageNotFoundError:
        return described or "not installed"


@asynccontextmanager
async def start(stage: Stage, tenants: int) -> AsyncIterator[Running]:
    """Load the tenants, then run a node with one worker."""
    log = stage.folder / "access.log"
    settings = {
        "PORTICO_ACCESS_LOG": str(log) if tenants else "off",
        **dict.fromkeys(CONNECTION_BOUNDS, "20000"),
        "PORTICO_KEEPALIVE_TIMEOUT": "300s",
    }
    with RedisProcess(stage.folder / "redis") as redis:
        async with connect(redis.url, "control") as client:
            callers = await _load(Catalog(client), stage, tenants)
        async with AsyncExitStack() as stack:
            with on_core(stage.cores.system):
                node = await stack.enter_async_context(running_node(redis.url, workers=1, **settings))
            yield Running(node.process.pid, node.port, callers, redis.pid, log if tenants else None)


async def _load(catalog: Catalog, stage: Stage, tenants: int) -> list[Caller]:
    if not tenants:
        await put_tenant(catalog, plain_document(stage))
        return [Caller(PLAIN_HOST)]
    everybody = members(tenants)
    await put_all(catalog, everybody, stage)
    return callers_of(everybody)


SYSTEM = System("portico", SCENARIOS, version, start)
