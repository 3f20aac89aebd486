"""What is going on at each target, kept apart from what is configured, so that it outlives every swap.

Compiled upstreams hold the targets they name and let go of them when they are replaced. The successor holds first, so a
target that both name keeps its connections, its requests in flight and its standing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from edge.pool import Address, ConnectionPool, IPAddress
from edge.upstreams.ejection import GOOD, Standing
from edge.upstreams.health import HealthMonitor
from store.model import HealthCheck, Target, Upstream


class TargetKey(NamedTuple):
    """A target's identity: no two tenants and no two upstreams ever share a connection."""

    tenant: str
    upstream: str
    url: str


class LiveTarget:
    """One target as this worker knows it: its connections, its load, and how it does."""

    __slots__ = ("_monitor", "holders", "in_flight", "key", "pool", "standing")

    def __init__(self, key: TargetKey, pool: ConnectionPool) -> None:
        self.key = key
        self.pool = pool
        self.in_flight = 0
        self.standing: Standing = GOOD
        self.holders = 0
        self._monitor: HealthMonitor | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether active checks, where there are any, are content."""
        return self._monitor is None or self._monitor.health.is_healthy

    def is_usable(self, now_s: float) -> bool:
        """Say whether it may take a request now."""
        return self.is_healthy and not self.standing.is_ejected(now_s)

    def check(self, settings: HealthCheck | None) -> None:
        """Check it by these settings from now on; the same settings leave the verdict so far as it is."""
        if self._monitor is not None:
            if self._monitor.settings == settings:
                return
            self._monitor.stop()
            self._monitor = None
        if settings is not None:
            self._monitor = HealthMonitor(self.key.url, self.pool, settings)

    def close(self) -> None:
        """Stop checks and close idle connections; those in use close when they come back."""
        self.check(None)
        self.pool.close()


class LiveTargets:
    """All targets that some compiled upstream of this worker names. `allow` is the egress filter."""

    def __init__(self, allow: Callable[[IPAddress], bool]) -> None:
        self._allow = allow
        self._targets: dict[TargetKey, LiveTarget] = {}

    def __len__(self) -> int:
        return len(self._targets)

    def hold(self, tenant: str, name: str, upstream: Upstream) -> list[LiveTarget]:
        """Give the targets of an upstream, in its order; the caller owes a `drop` of each. Needs a running loop."""
        asyncio.get_running_loop()
        held = []
        for target in upstream.targets:
            key = TargetKey(tenant, name, target.url)
            live = self._targets.get(key)
            if live is None:
                live = self._targets[key] = LiveTarget(key, self._pool(target, upstream))
            live.holders += 1
            live.pool.connect_timeout_s = upstream.connect_timeout_s
            live.check(upstream.health)
            held.append(live)
        return held

    def drop(self, live: LiveTarget) -> None:
        """Let go of a target; the last to do so closes it."""
        live.holders -= 1
        if live.holders == 0:
            del self._targets[live.key]
            live.close()

    def _pool(self, target: Target, upstream: Upstream) -> ConnectionPool:
        address = Address(target.host, target.port, is_tls=target.scheme == "https", server_name=target.host)
        return ConnectionPool(address, connect_timeout_s=upstream.connect_timeout_s, allow=self._allow)
