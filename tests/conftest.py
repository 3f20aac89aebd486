"""Fixtures for what runs on its own: Redis processes (each xdist worker has its own), and an upstream."""

from __future__ import annotations

from asyncio import AbstractEventLoop, new_event_loop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
import redis
import uvloop
from hypothesis import settings

from store.client import PATIENCE
from store.embedded import RedisProcess
from tests.fakes.origins import RunningOrigin, running_origin

# What is slow is no fault of an example's: the machine may be busy.
settings.register_profile("portico", deadline=None)
settings.load_profile("portico")

PATIENT_S = 10.0


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Run each test on the loop of what it tests: workers run on uvloop, the control plane and `portico dev` do not.

    The toolkit works in anybody's application, so the documents' samples run on both.
    """
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    if folder == "tenants":
        return {"asyncio": new_event_loop}
    if folder == "seeds":
        return {"asyncio": new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def request_path_patience(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the request path, in this process, wait for Redis longer than a machine that runs tests stands still.

    What is told of the 50 ms themselves, and of a Redis that is frozen, is marked `fifty_ms` and keeps them.
    """
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("fifty_ms") is None:
            patch.setitem(PATIENCE, "data", replace(PATIENCE["data"], answer_s=PATIENT_S, total_s=PATIENT_S))
            patch.setattr("store.limiter.LONGEST_WAIT_S", PATIENT_S)
        yield


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


@pytest_asyncio.fixture
async def origin() -> AsyncIterator[RunningOrigin]:
    """An upstream that answers as asked: the sample one of loadtest."""
    async with running_origin() as running:
        yield running
