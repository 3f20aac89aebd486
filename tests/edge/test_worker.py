"""A node as an operator runs it: `python -m edge` with real workers, a real Redis and a real upstream."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientConnectionError, ClientSession, TCPConnector

from edge.channel import open_channel
from edge.worker import MAX_UNREAD_BYTES, Life, has_c_parser
from loadtest.node import Node, put_tenant, running_node
from store.catalog import Catalog
from store.client import connect
from store.embedded import RedisProcess
from tests.fakes.eventually import eventually
from tests.fakes.origins import RunningOrigin, running_origin
from tests.fakes.timing import within

HOST = {"Host": "shop.example.com"}


def document(origin: RunningOrigin, **more: Any) -> dict[str, Any]:
    return {
        "tenant": "shop",
        "domains": [{"host": HOST["Host"], "verified_by": "operator"}],
        "upstreams": {"web": {"targets": [origin.url]}},
        "routes": [{"name": "all", "path": "/*", "upstream": "web", **more}],
    }


@asynccontextmanager
async def running_shop(redis_url: str, **settings: Any) -> AsyncIterator[tuple[Node, Catalog, RunningOrigin]]:
    """Run a node of two workers that serves one tenant."""
    async with connect(redis_url, "control") as client, running_origin() as origin:
        catalog = Catalog(client)
        await put_tenant(catalog, document(origin))
        async with running_node(redis_url, **settings) as node:
            yield node, catalog, origin


@asynccontextmanager
async def client_of(node: Node, *, keep_alive: bool = True) -> AsyncIterator[ClientSession]:
    """A client; without keep-alive each request has a connection, and so by turns a worker, of its own."""
    connector = TCPConnector(force_close=not keep_alive, limit=0)
    async with ClientSession(f"http://127.0.0.1:{node.port}", headers=HOST, connector=connector) as session:
        yield session


async def status_of(session: ClientSession, path: str) -> int:
    async with session.get(path) as answer:
        await answer.read()
        return answer.status


async def samples_of(node: Node) -> dict[str, float]:
    async with ClientSession() as session, session.get(f"{node.ops_url}/metrics") as answer:
        text = await answer.text()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


async def ready_of(node: Node) -> tuple[int, dict[str, Any]]:
    async with ClientSession() as session, session.get(f"{node.ops_url}/readyz") as answer:
        return answer.status, await answer.json()


async def is_at(node: Node, revision: int) -> bool:
    return bool((await node.status())["revision"] >= revision)


async def is_degraded(node: Node) -> bool:
    return bool((await node.status())["degraded"])


async def is_serving_requests(node: Node) -> bool:
    return bool((await samples_of(node))["portico_requests_in_flight"])


async def has_lost(node: Node, pid: int) -> bool:
    return pid not in await node.worker_pids()


async def are_serving(node: Node) -> bool:
    return all(worker["state"] == "serving" for worker in (await node.status())["workers"])


async def is_unready(node: Node) -> bool:
    return (await ready_of(node))[0] != 200


async def is_refusing(node: Node) -> bool:
    try:
        socket.create_connection(("127.0.0.1", node.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


async def test_every_worker_serves_what_was_there_and_what_is_committed_later(redis_url: str) -> None:
    async with running_shop(redis_url) as (node, catalog, origin):
        async with client_of(node, keep_alive=False) as client:
            assert {await status_of(client, "/status/200") for _ in range(20)} == {200}
            revision = await put_tenant(catalog, document(origin, methods=["POST"]))
            await eventually(lambda: is_at(node, revision))
            assert {await status_of(client, "/status/200") for _ in range(20)} == {405}
        assert {worker["revision"] for worker in (await node.status())["workers"]} == {revision}


async def test_the_metrics_of_all_workers_are_one_sum(redis_url: str) -> None:
    async with running_shop(redis_url) as (node, _, _):
        async with client_of(node, keep_alive=False) as client:
            for _ in range(30):
                await status_of(client, "/status/201")
            await status_of(client, "/status/404")
            async with client.get("/", headers={"Host": "nobody.example.com"}) as answer:
                assert answer.status == 421
        samples = await samples_of(node)
        assert samples['portico_requests_total{status="2xx"}'] == 30
        assert samples['portico_requests_total{status="4xx"}'] == 2
        assert samples['portico_errors_total{code="unknown_host"}'] == 1
        assert samples["portico_request_duration_seconds_count"] == 32
        assert samples["portico_connections_total"] == 32
        assert samples["portico_requests_in_flight"] == 0
        assert samples['portico_workers{state="ready"}'] == 2
        assert samples["portico_config_revision"] == 1
        assert samples["portico_store_up"] == 1


async def test_workers_killed_under_load_cost_only_what_they_were_serving(redis_url: str) -> None:
    async with running_shop(redis_url) as (node, _, _), client_of(node, keep_alive=False) as client:
        done, failed, clients = 0, 0, 8
        stop = asyncio.Event()

        async def ask_on() -> None:
            nonlocal done, failed
            while not stop.is_set():
                try:
                    assert await status_of(client, "/status/200") == 200
                    done += 1
                except ClientConnectionError:
                    failed += 1

        asking = [asyncio.create_task(ask_on()) for _ in range(clients)]
        kills = 3
        for _ in range(kills):
            before = done
            while done < before + 50:
                await status_of(client, "/status/200")
            victim = (await node.worker_pids())[0]
            os.kill(victim, signal.SIGKILL)
            await eventually(partial(has_lost, node, victim))
            await eventually(lambda: are_serving(node))
        stop.set()
        await asyncio.gather(*asking)
        assert failed <= kills * clients
        assert done > 150
        samples = await samples_of(node)
        assert samples["portico_worker_restarts_total"] == kills


async def test_counters_never_go_back_when_a_worker_is_killed(redis_url: str) -> None:
    async with running_shop(redis_url) as (node, _, _):
        async with client_of(node, keep_alive=False) as client:
            for _ in range(20):
                await status_of(client, "/status/200")
        assert (await samples_of(node))['portico_requests_total{status="2xx"}'] == 20
        for pid in await node.worker_pids():
            os.kill(pid, signal.SIGKILL)
        assert (await samples_of(node))['portico_requests_total{status="2xx"}'] == 20
        await eventually(lambda: are_serving(node))
        assert (await samples_of(node))['portico_requests_total{status="2xx"}'] == 20


async def test_sigterm_fails_readiness_refuses_connections_and_lets_requests_end(redis_url: str) -> None:
    async with running_shop(redis_url) as (node, _, _), client_of(node) as client:
        assert await ready_of(node) == (200, {"status": "ready", "degraded": False})
        slow = asyncio.create_task(status_of(client, "/delay/1.5"))
        await eventually(lambda: is_serving_requests(node))
        node.process.terminate()
        await eventually(lambda: is_unready(node))
        assert (await ready_of(node))[1]["status"] == "draining"
        await eventually(lambda: is_refusing(node))
        assert await slow == 200
        assert await node.process.wait() == 0


async def test_a_request_longer_than_the_grace_is_cut_off(redis_url: str) -> None:
    async with running_shop(redis_url, PORTICO_DRAIN_GRACE="200ms") as (node, _, _), client_of(node) as client:
        slow = asyncio.create_task(status_of(client, "/delay/60"))
        await eventually(lambda: is_serving_requests(node))
        node.process.terminate()
        with pytest.raises(ClientConnectionError):
            await slow
        assert await node.process.wait() == 0


async def test_sighup_replaces_every_worker_without_a_failed_request(redis_url: str) -> None:
    async with running_shop(redis_url) as (node, _, _), client_of(node, keep_alive=False) as client:
        before = set(await node.worker_pids())
        node.process.send_signal(signal.SIGHUP)
        statuses = []
        while before & set(await node.worker_pids()):
            statuses += await asyncio.gather(*(status_of(client, "/status/200") for _ in range(10)))
        assert set(statuses) == {200}
        _, ended = psutil.wait_procs([psutil.Process(pid) for pid in before if psutil.pid_exists(pid)], timeout=20)
        assert not ended
        assert (await samples_of(node))["portico_worker_restarts_total"] == 0


async def test_without_redis_traffic_goes_on_and_the_node_says_it_is_degraded(own_redis: RedisProcess) -> None:
    async with running_shop(own_redis.url) as (node, catalog, origin):
        async with client_of(node, keep_alive=False) as client:
            own_redis.stop()
            while not await is_degraded(node):
                assert await status_of(client, "/status/200") == 200
            assert (await node.status())["store"] == "down"
            assert await ready_of(node) == (200, {"status": "ready", "degraded": True})
            assert (await samples_of(node))["portico_store_up"] == 0
            assert {await status_of(client, "/status/200") for _ in range(20)} == {200}
            own_redis.start()
            revision = await put_tenant(catalog, document(origin, methods=["POST"]))
            async with within(2):
                await eventually(lambda: is_at(node, revision))
            assert {await status_of(client, "/status/200") for _ in range(20)} == {405}
            while await is_degraded(node):
                await status_of(client, "/status/200")


async def test_when_the_master_is_killed_the_workers_end(redis_url: str) -> None:
    async with running_shop(redis_url) as (node, _, _):
        workers = [psutil.Process(pid) for pid in await node.worker_pids()]
        node.process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, workers, timeout=20)
        assert not alive


async def test_each_request_is_one_line_of_the_access_log_without_its_query(redis_url: str, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    async with running_shop(redis_url, PORTICO_ACCESS_LOG=str(path)) as (node, _, _):
        async with client_of(node, keep_alive=False) as client:
            for number in range(10):
                await status_of(client, f"/status/200?number={number}&api_key=hunter2")
            async with client.get("/", headers={"Host": "nobody.example.com"}) as answer:
                request_id = (await answer.json())["request_id"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 11
    assert "hunter2" not in path.read_text()
    [refused] = [line for line in lines if line["status"] == 421]
    assert (refused["error"], refused["request_id"], refused["has_query"]) == ("unknown_host", request_id, False)
    served = [line for line in lines if line["status"] == 200]
    assert {(line["tenant"], line["route"], line["path"], line["has_query"]) for line in served} == {
        ("shop", "all", "/status/200", True)
    }


async def test_a_node_may_have_as_many_files_open_as_the_system_allows(redis_url: str) -> None:
    async with running_node(redis_url, workers=1) as node:
        [worker] = [psutil.Process(pid) for pid in await node.worker_pids()]
        soft, hard = worker.rlimit(psutil.RLIMIT_NOFILE)
        assert soft == hard


async def test_a_master_that_stops_reading_neither_makes_a_worker_grow_nor_keeps_it_from_ending() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await open_channel(theirs)
    life = Life(reader, writer)
    with ours:
        for _ in range(100):
            life.give_up("x" * 100_000)
        assert writer.transport.get_write_buffer_size() < 2 * MAX_UNREAD_BYTES
        await life.close()
        writer.transport.abort()


def test_aiohttp_has_its_c_parser_here() -> None:
    assert has_c_parser()


def refused(arguments: list[str], **env: str) -> str:
    """Run a node that cannot start and return the one line that it says."""
    settings = {"PORTICO_LISTEN": "127.0.0.1:0", "PORTICO_OPS": "127.0.0.1:0", "PORTICO_WORKERS": "2", **env}
    command = [sys.executable, "-m", "edge", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=40, check=False
    )
    assert done.returncode == 2, done.stderr
    assert not done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("portico edge: ")
    return line.removeprefix("portico edge: ")


def test_what_keeps_a_node_from_starting_is_one_line_and_status_2(redis_url: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = {"PORTICO_REDIS_URL": redis_url}
        assert refused(["--listen", address], **found) == f"cannot listen on {address}: it is in use"
        assert refused(["--ops", address], **found) == f"cannot listen on {address} (ops): it is in use"
    assert refused(["--redis", "redis://127.0.0.1:1/0"]).startswith("cannot use Redis: ")
    assert refused(["--redis", "ftp://x"]).startswith("--redis: expected a URL")
    both = refused(["--workers", "none"], PORTICO_DRAIN_GRACE="soon")
    assert re.match(r"--workers: expected .*; PORTICO_DRAIN_GRACE: expected .*", both)
    missing = str(tmp_path / "missing" / "access.log")
    assert (
        refused(["--access-log", missing], **found)
        == f"cannot write the access log {missing}: No such file or directory"
    )


def test_a_wrong_flag_is_status_2_too() -> None:
    done = subprocess.run([sys.executable, "-m", "edge", "--wrong"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--wrong" in done.stderr
