"""What is going on at each target, kept apart from what is configured, so that it outlives every swap.

Compiled upstreams hold the targets they name and let go of them when they are replaced. The successor holds first, so a
target that both name keeps its connections, its requests in flight and its standing.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakValueDictionary

from edge.pool import Address, ConnectionPool, client_tls
from edge.telemetry.counters import UpstreamCounters
from edge.upstreams.egress import Allows
from edge.upstreams.ejection import GOOD, Standing
from edge.upstreams.health import Health, HealthMonitor
from edge.upstreams.names import Name, Resolver
from edge.upstreams.retry import RetryBudget
from store.model import HealthCheck, Target, Upstream


class TargetKey(NamedTuple):
    """A target's identity: no two tenants and no two upstreams ever share a connection."""

    tenant: str
    upstream: str
    url: str


class LiveUpstream:
    """What all targets of an upstream share, through every swap: requests in flight, and the budget for retries."""

    __slots__ = ("__weakref__", "budget", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self.budget = RetryBudget()


class LiveTarget:
    """One target as this worker knows it: its connections, its load, and how it does."""

    __slots__ = ("_base_path", "_monitor", "authority", "holders", "in_flight", "key", "pool", "standing", "upstream")

    def __init__(self, key: TargetKey, upstream: LiveUpstream, pool: ConnectionPool, base_path: str) -> None:
        self.key = key
        self.upstream = upstream
        self.pool = pool
        self.authority = pool.address.authority
        self.in_flight = 0
        self.standing: Standing = GOOD
        self.holders = 0
        self._base_path = base_path
        self._monitor: HealthMonitor | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether active checks, where there are any, are content."""
        return self._monitor is None or self._monitor.health.is_healthy

    def is_usable(self, now_s: float) -> bool:
        """Say whether it may take a request now."""
        return now_s >= self.standing.until_s and (self._monitor is None or self._monitor.health.is_healthy)

    def check(self, settings: HealthCheck | None) -> None:
        """Check it by these settings from now on; the verdict so far stays until they find otherwise."""
        before = self._monitor
        if before is not None and before.settings == settings:
            return
        self._monitor = None
        if settings is not None:
            self._monitor = HealthMonitor(self.key.url, self.pool, settings, self._base_path)
        if before is not None:
            before.stop()
            if self._monitor is not None:
                self._monitor.health = Health(before.health.is_healthy)

    def close(self) -> None:
        """Stop checks and close idle connections; those in use close when they come back."""
        self.check(None)
        self.pool.close()


class LiveTargets:
    """All targets that some compiled upstream of this worker names. `allow` is the egress filter."""

    def __init__(
        self,
        allow: Allows,
        counters: UpstreamCounters | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self.counters = counters or UpstreamCounters()
        self._allow = allow
        self._resolver = resolver or Resolver()
        client_tls()  # it reads all of the system's authorities: now, before there are requests to wait for it
        self._targets: dict[TargetKey, LiveTarget] = {}
        self._upstreams: WeakValueDictionary[tuple[str, str], LiveUpstream] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._targets)

    def hold(self, tenant: str, name: str, upstream: Upstream) -> list[LiveTarget]:
        """Give the targets of an upstream, in its order; the caller owes a `drop` of each. Needs a running loop."""
        shared = self._upstreams.get((tenant, name))
        if shared is None:
            shared = self._upstreams[(tenant, name)] = LiveUpstream()
        return [
            self._hold(TargetKey(tenant, name, target.url), shared, target, upstream) for target in upstream.targets
        ]

    def drop(self, live: LiveTarget) -> None:
        """Let go of a target; the last to do so closes it."""
        live.holders -= 1
        if live.holders == 0:
            del self._targets[live.key]
            live.close()

    def _hold(self, key: TargetKey, shared: LiveUpstream, target: Target, upstream: Upstream) -> LiveTarget:
        live = self._targets.get(key)
        if live is None:
            live = self._targets[key] = LiveTarget(key, shared, self._pool(key, target, upstream), target.base_path)
        live.holders += 1
        live.pool.connect_timeout_s = upstream.connect_timeout_s
        live.check(upstream.health)
        return live

    def _pool(self, key: TargetKey, target: Target, upstream: Upstream) -> ConnectionPool:
        return ConnectionPool(
            Address(target.host, target.port, is_tls=target.scheme == "https", server_name=target.host),
            connect_timeout_s=upstream.connect_timeout_s,
            allow=lambda ip: self._allow(ip, target.port),
            name=Name(target.host, key.tenant, self._resolver),
            counters=self.counters,
        )
