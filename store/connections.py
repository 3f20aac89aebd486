"""redis-py connections made from a RedisAddress, every option that matters said out loud.

redis-py's defaults (5 s x 10 retries, re-sending of writes) would hold a request for a minute: here nothing
is retried below our own code, and the protocol is RESP2, which needs no handshake and pushes nothing
unasked.
"""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from store.address import RedisAddress

SENTINEL_TIMEOUT_S = 0.5
MAX_CONNECTIONS = 1000  # never reached: our own slots are fewer


@dataclass(frozen=True)
class Timing:
    """How long connecting may take, and how long a connection may idle before a PING comes first; in seconds."""

    connect_s: float
    idle_check_s: float


def make_pool(address: RedisAddress, timing: Timing) -> tuple[ConnectionPool, Sentinel | None]:
    """Return a pool for a single server, a unix socket or a master found by Sentinel; no I/O yet.

    The caller owes `aclose()` of both.
    """
    options = _options(address, timing)
    if address.kind == "unix":
        return ConnectionPool(UnixDomainSocketConnection, MAX_CONNECTIONS, path=address.path, **options), None
    if address.kind == "sentinel":
        sentinel = _untyped(Sentinel)(address.nodes, sentinel_kwargs=_sentinel_options(address))
        pool = _untyped(SentinelConnectionPool)(
            address.service, sentinel, ssl=address.tls, max_connections=MAX_CONNECTIONS, **options
        )
        return pool, sentinel
    host, port = address.nodes[0]
    kind = SSLConnection if address.tls else Connection
    return ConnectionPool(kind, MAX_CONNECTIONS, host=host, port=port, **options), None


def make_cluster(address: RedisAddress, timing: Timing) -> RedisCluster:
    """Return a cluster client; no I/O yet. The caller owes `aclose()`."""
    options = _options(address, timing)
    del options["db"]
    nodes = [ClusterNode(host, port) for host, port in address.nodes]
    return RedisCluster(startup_nodes=nodes, ssl=address.tls, **options)


def make_cluster_connection(cluster: RedisCluster) -> AbstractConnection:
    """Return a fresh connection to any master of an initialised cluster; a publish reaches them all."""
    node = random.choice(cluster.get_primaries())  # noqa: S311 - spreads load, guards nothing
    return node.connection_class(**node.connection_kwargs)


def make_connection(pool: ConnectionPool) -> AbstractConnection:
    """Return a fresh, unconnected connection that the pool does not keep."""
    return cast(AbstractConnection, _untyped(pool.make_connection)())


async def acquired(pool: ConnectionPool) -> AbstractConnection:
    """Take a connected connection from the pool; the caller owes `pool.release`."""
    return cast(AbstractConnection, await _untyped(pool.get_connection)())


async def checked(connection: AbstractConnection) -> None:
    """PING it if it has been idle, so that a dead link is found before a write goes into it."""
    await _untyped(connection.check_health)()


async def connected(connection: AbstractConnection) -> None:
    """Connect and log in."""
    await _untyped(connection.connect)()


def abort(connection: AbstractConnection) -> None:
    """Cut it off without waiting for what is still to be written: a frozen peer would never take it."""
    writer = connection._writer
    if writer is not None:
        writer.transport.abort()


async def disconnected(connection: AbstractConnection) -> None:
    """Close at once, whatever state it is in; never raises."""
    with suppress(RedisError, OSError):
        await connection.disconnect(nowait=True)


def _untyped(thing: Any) -> Any:
    # Half of redis-py has annotations and half has not; a checked call into the other half goes through here.
    return thing


def _options(address: RedisAddress, timing: Timing) -> dict[str, Any]:
    options: dict[str, Any] = {
        "db": address.db,
        "username": address.username,
        "password": address.password,
        "socket_connect_timeout": timing.connect_s,
        # None: redis-py would use asyncio.wait_for, which on Python 3.11 can swallow a cancellation
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": timing.idle_check_s,
        "protocol": 2,
        "driver_info": None,
        "encoding_errors": "surrogatepass",  # header bytes that are no UTF-8 reach us as surrogates
        **dict(address.tls_options),
    }
    if address.kind != "unix":
        options["socket_keepalive"] = True
    return options


def _sentinel_options(address: RedisAddress) -> dict[str, Any]:
    return {
        "username": address.sentinel_username,
        "password": address.sentinel_password,
        "socket_connect_timeout": SENTINEL_TIMEOUT_S,
        "socket_timeout": SENTINEL_TIMEOUT_S,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "ssl": address.tls,
        **dict(address.tls_options),
    }
