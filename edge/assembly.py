"""A worker's parts, put together: the one place that knows all of them.

store clients -> catalog, feed, fleet, limiter        what the planes share
catalog, feed -> watcher -> tenancy -> router         the path of a change
server -> service -> router -> handlers -> targets    the path of a request
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from edge.belief import Belief
from edge.census import ConnectionLimits
from edge.client_edge.key_cache import KeyCache
from edge.client_edge.key_sets import KeySets, asking
from edge.client_edge.key_usage import KeyUsage
from edge.client_edge.limits import Counting
from edge.client_edge.passwords import PasswordChecks
from edge.client_edge.plan_limits import PlanLimits
from edge.client_edge.sessions.endings import heeded
from edge.client_edge.sessions.parts import SessionParts, session_parts
from edge.client_edge.token_cache import TokenCache
from edge.compiler import CompiledTenant, Parts, compile_tenant
from edge.deadlines import Pace
from edge.headers import TrustedProxies
from edge.outgoing import Outgoing
from edge.router import DynamicRouter
from edge.serve import EdgeService
from edge.server import EdgeServer
from edge.telemetry.access_log import FileLog, NoLog, open_access_log
from edge.telemetry.counters import Counters
from edge.telemetry.metrics import Samples
from edge.telemetry.observer import Observer
from edge.tenancy import Tenancy
from edge.upstreams.egress import egress_filter
from edge.upstreams.live import LiveTargets
from edge.upstreams.names import Resolver
from edge.watcher import Watcher
from store.catalog import Catalog
from store.client import connect
from store.codec import Envelope
from store.endings import Endings
from store.errors import RecordUnreadable, StoreError
from store.feed import Feed
from store.fleet import Fleet
from store.guards import Guards
from store.limiter import Limiter
from store.model import read_document
from store.reports import WorkerReport
from store.sessions import Sessions
from store.settings import Settings

TUNNEL_IDLE_TIMEOUT_S = 300.0
MAX_REFUSED_SHOWN = 100
SHARE_OF_OPEN_FILES = 0.6

log = logging.getLogger("portico.worker")


@dataclass(frozen=True, slots=True)
class Worker:
    """The parts of a worker that its life has to do with."""

    worker_id: str
    server: EdgeServer
    watcher: Watcher
    tenancy: Tenancy
    fleet: Fleet
    limiter: Limiter
    guards: Guards
    counters: Counters
    log: FileLog | NoLog

    @property
    def is_store_up(self) -> bool:
        """Whether the store answers the watcher, and the next limited request will be counted there."""
        return self.watcher.store_error is None and not self.limiter.is_store_lost

    def samples(self) -> Samples:
        """Tell what is counted, and how things stand."""
        connections = self.server.connections
        return {
            **self.counters.samples(),
            "portico_requests_in_flight": sum(connection._request_in_progress for connection in connections),
            "portico_connections_total": self.server.census.accepted,
            **{f'portico_client_bounds_total{{bound="{name}"}}': met for name, met in self.server.census.met.items()},
            "portico_connections_open": len(connections),
            "portico_config_revision": self.watcher.position.revision,
            "portico_config_age_seconds": self._config_age_s(),
            "portico_config_refused": len(self.tenancy.refused),
            "portico_store_up": int(self.is_store_up),
            "portico_access_log_dropped_total": self.log.dropped,
            "portico_limit_store_calls_total": self.limiter.calls + self.guards.calls,
            "portico_limit_places_taken": self.guards.running,
            "portico_limit_leased_units": self.limiter.drift,
        }

    def config(self) -> dict[str, Any]:
        """Tell what is served and what is not, for /status."""
        watcher = self.watcher
        return {
            "revision": watcher.position.revision,
            "epoch": watcher.position.epoch,
            "config_age_s": round(self._config_age_s(), 3),
            "is_store_up": self.is_store_up,
            "is_degraded": watcher.is_degraded,
            "last_error": watcher.alarm or watcher.store_error,
            "refused_count": len(self.tenancy.refused),
            "refused": [
                {
                    "tenant": each.tenant,
                    "revision": each.revision,
                    "reason": each.reason,
                    "serving": each.serving,
                }
                for each in islice(self.tenancy.refusals(), MAX_REFUSED_SHOWN)
            ],
        }

    def _config_age_s(self) -> float:
        """Say how long ago the store last told what is current."""
        return max(0.0, time.time() - self.watcher.last_seen_s)


@asynccontextmanager
async def assembled(settings: Settings, index: int) -> AsyncIterator[Worker]:
    """Put a worker together, and take it apart again at the end.

    Raises BadRedisUrl, and OSError when the access log cannot be opened.
    """
    async with AsyncExitStack() as stack:
        counters = Counters()
        log = open_access_log(settings.access_log)
        stack.push_async_callback(log.close)
        # One client each: what waits for the catalog must not hold up the heartbeat, nor either of them a request.
        changes, feed, fleet, logins, data = [
            await stack.enter_async_context(connect(settings.redis_url, role))
            for role in ("feed", "feed", "feed", "feed", "data")
        ]
        with suppress(StoreError):
            await data.ping()  # so that no request pays for the handshake
        belief = Belief(Catalog(data), lambda: watcher)
        keys = KeyCache(belief.get_key, lambda: belief.fault() is None)
        identity = _identity(settings.node, index)
        limiter = Limiter(data, lambda: watcher.live_workers)
        stack.push_async_callback(limiter.aclose)
        guards = Guards(data, identity.worker_id, lambda: watcher.live_workers)
        stack.push_async_callback(guards.aclose)
        allows, resolver = egress_filter(settings).allows, Resolver()
        outgoing = Outgoing(allows, resolver)
        stack.push_async_callback(outgoing.aclose)
        key_sets = KeySets(asking(outgoing))
        stack.push_async_callback(key_sets.aclose)
        usage = KeyUsage(Catalog(changes).note_used)
        stack.push_async_callback(usage.aclose)
        usage.start()
        passwords = PasswordChecks()
        stack.callback(passwords.close)
        targets = LiveTargets(allows, counters.upstreams, resolver)
        plans = PlanLimits()
        sessions = session_parts(settings, lambda by: Sessions(data, by, logins, belief), outgoing, key_sets)
        await stack.enter_async_context(heeded(Endings(feed), sessions.known if sessions else None))
        counting = Counting(limiter, guards, counters)
        parts = Parts(targets, keys, counting, plans, key_sets, TokenCache(), outgoing, passwords, usage, sessions)

        def compile_record(tenant: str, revision: int, envelope: Envelope) -> CompiledTenant:
            try:
                document = read_document(envelope.record().document)
                if document.tenant != tenant:
                    raise RecordUnreadable(tenant, revision, f"it is a document of tenant {document.tenant}")
                return compile_tenant(document, envelope.hosts, revision, parts)
            except Exception:
                counters.compile_failures += 1
                raise

        router = DynamicRouter()
        tenancy = Tenancy(router, compile_record, _forgetting(keys, sessions), plans.swap)
        stack.callback(tenancy.close)
        watcher = Watcher(Catalog(changes), Feed(feed), Fleet(fleet), tenancy, identity)
        trusted = TrustedProxies(map(str, settings.trusted_proxies))
        observer = Observer(counters, log, asyncio.get_running_loop().time)
        service = EdgeService(router, trusted, observer, tunnel_idle_timeout_s=TUNNEL_IDLE_TIMEOUT_S)
        server = EdgeServer(service.serve, _connection_limits(settings), trusted.trusts)
        yield Worker(identity.worker_id, server, watcher, tenancy, Fleet(fleet), limiter, guards, counters, log)


def _forgetting(keys: KeyCache, sessions: SessionParts | None) -> Callable[[str], None]:
    """Make the function that has what is remembered of a tenant's callers asked for again."""

    def forget(tenant: str) -> None:
        keys.forget(tenant)
        if sessions is not None:
            sessions.known.forget(tenant)

    return forget


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        keepalive_timeout_s=settings.keepalive_timeout_s,
        head_timeout_s=settings.head_timeout_s,
        pace=Pace(settings.body_timeout_s, settings.body_min_rate, settings.body_grace_s),
        write_timeout_s=settings.write_timeout_s,
        max_head_bytes=settings.max_head_bytes,
        max_fields=settings.max_fields,
        max_target_bytes=settings.max_target_bytes,
        max_pipelined=settings.max_pipelined,
        max_connections=affordable(settings.max_connections),
        max_per_address=settings.max_per_address,
        max_per_tenant=settings.max_per_tenant,
    )


def affordable(connections: int) -> int:
    """Bound the number of connections by the files this process may open: most of them need one to a target too.

    Where the files run out nothing can be accepted, answered or connected to, whoever asks.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = int(files * SHARE_OF_OPEN_FILES)
    if connections > most:
        log.warning("%d open files are allowed, which is enough for %d connections, not %d", files, most, connections)
    return min(connections, most)


def _identity(node: str, index: int) -> WorkerReport:
    pid = os.getpid()
    return WorkerReport(
        worker_id=f"{node}/{index}/{pid}",
        node=node,
        pid=pid,
        epoch="",
        revision=0,
        started_at_ms=int(time.time() * 1000),
    )
