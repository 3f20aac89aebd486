"""The store on a cluster, behind Sentinel and with replicas: real processes of each."""

from __future__ import annotations

import asyncio
import shutil
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from store.address import parse_redis_url
from store.catalog import Catalog, Change
from store.client import Client, connect
from store.codec import TenantRecord
from store.decisions import Take
from store.embedded import RedisProcess
from store.endings import Endings, session_name
from store.errors import StoreUnavailable
from store.feed import Feed
from store.fleet import Fleet, WorkerReport
from store.limiter import Limiter
from store.sealing import Sealer
from store.sessions import Kept, Revocations, Sessions
from tests.fakes.redis_modes import ClusterProcess, ReplicaProcess, SentinelProcess
from tests.fakes.tenants import put
from tests.fakes.timing import within
from tests.fakes.tls_front import make_certificate, tls_front


async def whole_store(url: str) -> None:
    """Everything the store does, once."""
    async with connect(url, "control") as control, connect(url, "feed") as feed, connect(url, "data") as data:
        await connected(data)
        catalog = Catalog(control)
        wake_ups = Feed(feed).wake_ups()
        assert [(await anext(wake_ups)).reason for _ in range(2)] == ["start", "start"]
        await catalog.commit(Change("acme", TenantRecord({"tenant": "acme", "domains": ["a.test"]})), 0)
        wake_up = await anext(wake_ups)
        assert [tick.tenant for tick in wake_up.ticks()] == ["acme"]
        await wake_ups.aclose()
        assert [item.tenant for item in (await Catalog(feed).changes_since(0)).items] == ["acme"]
        assert await Catalog(data).get_key("acme", "k") is None
        assert len(await catalog.audit()) == 1
        assert len(await catalog.history("acme")) == 1
        assert [stored.tenant for stored in (await catalog.tenants()).items] == ["acme"]
        fleet = Fleet(feed)
        assert await fleet.report(WorkerReport("n/0/1", "n", 1, (await catalog.head()).epoch, 1, 0)) == 1
        assert (await fleet.wait(1, 1.0)).applied == 1
        limiter = Limiter(data, lambda: 1)
        takes = [Take("a", "k", 1, 60, 1), Take("b", "k", 5, 60, 5)]
        decisions = [await limiter.take("acme", takes) for _ in range(2)]
        assert [(each.admitted, each.source) for each in decisions] == [(True, "store"), (False, "store")]
        sessions = Sessions(data, Sealer([b"k" * 32]))
        assert [await sessions.use_login("acme", "state", 60) for _ in range(2)] == [True, False]
        for session_id in ("a", "b"):
            await sessions.put("acme", session_id, Kept("ann", {}), 60)
        heard = Endings(feed).heard()
        assert [(await anext(heard)).is_gap for _ in range(2)] == [True, True]
        await sessions.delete("acme", "b")
        assert (await anext(heard)).ended == (session_name("acme", "b"),)
        await heard.aclose()
        assert [await sessions.get("acme", session_id, 60) for session_id in "ab"] == [Kept("ann", {}), None]
        await Revocations(control).revoke("acme", "ann")
        assert await sessions.get("acme", "a", 60) is None


async def connected(client: Client) -> None:
    """Return when the request path has its connection: a handshake may take longer than one request may."""
    async with asyncio.timeout(20):
        while True:
            with suppress(StoreUnavailable):
                return await client.ping()


@pytest.mark.fifty_ms
async def test_the_whole_store_works_on_a_cluster(tmp_path: Path) -> None:
    with ClusterProcess(tmp_path) as process:
        url = process.cluster_url
        await whole_store(url)
        async with connect(url, "data") as lane, connect(url, "control") as client:
            await client.ping()
            await connected(lane)
            assert await lane.ask("GET", "a") is None
            process.pause()
            try:
                async with within(0.5):
                    with pytest.raises(StoreUnavailable):
                        await lane.ask("GET", "a")
            finally:
                process.resume()
            process.stop()
            with pytest.raises(StoreUnavailable):
                await client.ask("GET", "a")


async def test_the_whole_store_works_behind_sentinel(own_redis: RedisProcess, tmp_path: Path) -> None:
    with SentinelProcess(tmp_path / "sentinel", own_redis) as sentinel, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nodes = f"127.0.0.1:{unused.getsockname()[1]},127.0.0.1:{sentinel.port}"
        await whole_store(f"redis+sentinel://{nodes}/main")
        async with connect(f"redis+sentinel://{nodes}/other", "control") as client:
            with pytest.raises(StoreUnavailable, match="cannot be reached"):
                await client.ping()


async def test_the_whole_store_works_over_tls(redis_url: str, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    certificate, key = make_certificate(tmp_path, openssl)
    async with tls_front(parse_redis_url(redis_url).nodes[0][1], certificate, key) as port:
        await whole_store(f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}")
        async with connect(f"rediss://localhost:{port}/0", "control") as client:
            with pytest.raises(StoreUnavailable, match="certificate is not trusted"):
                await client.ping()


async def test_after_a_failover_the_new_master_is_found(own_redis: RedisProcess, tmp_path: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(ReplicaProcess(tmp_path / "replica", own_redis))
        sentinel = stack.enter_context(SentinelProcess(tmp_path / "sentinel", own_redis, replicas=1))
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
        async with connect(url, "control") as client, connect(url, "data") as lane:
            await client.ask("SET", "a", "kept", is_write=True)
            assert await client.ask("WAIT", 1, 5000) == 1
            own_redis.kill()
            for each in (client, lane):
                assert await eventually_read(each) == b"kept"


async def eventually_read(client: Client) -> bytes:
    """Ask until the write goes through, as a caller would."""
    async with asyncio.timeout(20):
        while True:
            try:
                await client.ask("SET", "b", "new", is_write=True)
                found: bytes = await client.ask("GET", "a")
            except StoreUnavailable:
                await asyncio.sleep(0.05)
                continue
            return found


async def test_a_commit_is_durable_only_when_a_replica_has_it(
    own_redis: RedisProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        async with connect(own_redis.url, "control") as client:
            catalog = Catalog(client, min_replicas=1)
            assert (await catalog.commit(put("acme"), 0)).durable is False
            replica = stack.enter_context(ReplicaProcess(tmp_path / "replica", own_redis))
            with monkeypatch.context() as patient:
                patient.setattr("store.catalog.WAIT_MS", 10_000)
                assert (await catalog.commit(put("acme"), None)).durable is True
            replica.pause()
            assert (await catalog.commit(put("acme"), None)).durable is False
