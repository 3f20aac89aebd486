"""store/connections.py: every option that matters is said, for every kind of address."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from store.address import parse_redis_url
from store.connections import Timing, make_cluster, make_connection, make_pool

TIMING = Timing(connect_s=1.5, idle_check_s=15)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://u:hunter2@cache:1/2", Connection),
        ("rediss://u:hunter2@cache:1/2?ssl_check_hostname=false", SSLConnection),
        ("unix://u@/run/redis.sock?db=2&password=hunter2", UnixDomainSocketConnection),
        ("redis+sentinel://u:hunter2@one,two/main/2", SentinelManagedConnection),
        ("rediss+sentinel://u:hunter2@one,two/main/2", SentinelManagedSSLConnection),
    ],
)
async def test_nothing_is_retried_nor_timed_by_redis_py_itself(url: str, kind: type[Connection]) -> None:
    pool, sentinel = make_pool(parse_redis_url(url), TIMING)
    connection = make_connection(pool)
    assert type(connection) is kind
    assert connection.retry.get_retries() == 0
    assert connection.socket_timeout is None
    assert connection.socket_connect_timeout == 1.5
    assert connection.health_check_interval == 15
    assert connection.protocol == 2
    assert (connection.db, connection.username, connection.password) == (2, "u", "hunter2")
    assert "hunter2" not in f"{pool!r} {connection!r} {sentinel!r}"
    assert isinstance(pool, SentinelConnectionPool) is (sentinel is not None)
    if sentinel is not None:
        for each in sentinel.sentinels:
            retry = each.get_retry()
            assert retry is not None
            assert retry.get_retries() == 0
        await sentinel.aclose()
    await pool.aclose()


async def test_a_cluster_is_not_retried_by_redis_py_either() -> None:
    cluster = make_cluster(parse_redis_url("redis+cluster://:hunter2@one,two:7001"), TIMING)
    assert cluster.retry.get_retries() == 0
    assert cluster.connection_kwargs["socket_timeout"] is None
    assert [(node.host, node.port) for node in cluster.nodes_manager.startup_nodes.values()] == [
        ("one", 6379),
        ("two", 7001),
    ]
    await cluster.aclose()
