"""Fixtures for what runs as a process: Redis. Each xdist worker has its own."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import redis
import uvloop

from store.embedded import RedisProcess


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Run tests on the loop that Portico's processes run on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """A Redis shared by the session's tests, without persistence; use `redis_url`, leave it running."""
    with RedisProcess(tmp_path_factory.mktemp("redis")) as process:
        yield process


@pytest.fixture
def redis_url(redis_server: RedisProcess) -> str:
    """The shared server's URL, its database and script cache emptied first."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
        client.script_flush()
    return redis_server.url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis of the test's own, which keeps its data through stop, kill and start."""
    with RedisProcess(tmp_path / "redis", appendonly=True) as process:
        yield process
