"""What client connections may take of a worker: their bounds, and who has how many.

Nobody takes everything: an address and a tenant have bounds of their own below the worker's, so that there is room
left for the others. Whoever meets a bound is counted by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edge.addresses import subscriber_of
from edge.deadlines import Pace

BOUNDS = ("connections", "address", "tenant", "pipeline", "silence", "idle", "write", "handshake")
"""The bounds that have no error code to be counted by; a head and a body that are too slow or too large have."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a client's connection may take: time, in seconds, and room; and how many there may be.

    A head has `head_timeout_s` from the connection or its first byte, a body its `pace`, an answer `write_timeout_s`
    for the client to take any of it. Of `max_target_bytes` the request's line may be a little longer, for its method
    and version. Connections beyond `max_connections`, and beyond `max_per_address` of one subscriber, are closed at
    once; requests on more than `max_per_tenant` are refused.
    """

    keepalive_timeout_s: float = 75.0
    head_timeout_s: float = 10.0
    pace: Pace = field(default_factory=Pace)
    write_timeout_s: float = 30.0
    max_head_bytes: int = 32 * 1024
    max_fields: int = 100
    max_target_bytes: int = 8 * 1024
    max_pipelined: int = 32
    max_connections: int = 10_000
    max_per_address: int = 8_000
    max_per_tenant: int = 8_000


class Census:
    """Counts the open connections of one worker by subscriber and by tenant.

    `is_exempt` says of which addresses any number may come: those of proxies that speak for many clients.
    """

    __slots__ = ("_by_subscriber", "_by_tenant", "_is_exempt", "_limits", "accepted", "met")

    def __init__(self, limits: ConnectionLimits, is_exempt: Callable[[str], bool] = lambda _: False) -> None:
        self._limits = limits
        self._is_exempt = is_exempt
        self._by_subscriber: dict[str, int] = {}
        self._by_tenant: dict[str, int] = {}
        self.accepted = 0
        self.met = dict.fromkeys(BOUNDS, 0)
        """How often each bound was met."""

    def admit(self, address: str | None, open_connections: int) -> str | None:
        """Admit one more connection and give what `leave` wants of it; None when it must be closed at once."""
        if open_connections >= self._limits.max_connections:
            self.met["connections"] += 1
            return None
        subscriber = self._counted(address)
        if subscriber:
            count = self._by_subscriber.get(subscriber, 0)
            if count >= self._limits.max_per_address:
                self.met["address"] += 1
                return None
            self._by_subscriber[subscriber] = count + 1
        self.accepted += 1
        return subscriber

    def leave(self, subscriber: str, tenant: str) -> None:
        """Take a connection that was admitted out of all counts."""
        _take_one(self._by_subscriber, subscriber)
        _take_one(self._by_tenant, tenant)

    def move(self, tenant: str, to: str) -> bool:
        """Count a connection for another tenant ("" is nobody's) from now on; False when that one has no room."""
        count = self._by_tenant.get(to, 0)
        if count >= self._limits.max_per_tenant:
            self.met["tenant"] += 1
            return False
        self._by_tenant[to] = count + 1
        _take_one(self._by_tenant, tenant)
        return True

    def _counted(self, address: str | None) -> str:
        """Name whom a connection counts for; "" for nobody: a Unix socket, a trusted proxy."""
        if address is None or self._is_exempt(address):
            return ""
        try:
            return subscriber_of(address)
        except ValueError:
            return ""


def _take_one(counts: dict[str, int], name: str) -> None:
    left = counts.get(name, 0) - 1
    if left > 0:
        counts[name] = left
    else:
        counts.pop(name, None)
