"""The path of a request to a target by https, end to end: in this process, and in a node as an operator runs it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from loadtest.node import put_tenant, running_node
from loadtest.origin import OriginState, body_blocks, make_app
from store.catalog import Catalog
from store.client import connect
from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.eventually import eventually
from tests.fakes.origins import refusing_port
from tests.fakes.tls import Authority, running_tls_app
from tests.fakes.waiting import until

HOST = {"Host": "shop.test"}
SIZE_BYTES = 20_000_000


@pytest.fixture(scope="module")
def ours() -> Authority:
    return Authority()


@pytest_asyncio.fixture
async def edge(
    ours: Authority, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningEdge]:
    with ours.trusted(tmp_path, monkeypatch):
        async with running_edge(redis_url, access_log=str(tmp_path / "access.log")) as running:
            yield running


def document(*targets: str, **upstream: Any) -> dict[str, Any]:
    return {
        "tenant": "acme",
        "domains": [{"host": "shop.test", "verified_by": "operator"}],
        "upstreams": {"app": {"targets": list(targets), **upstream}},
        "routes": [{"name": "all", "path": "/*", "upstream": "app"}],
    }


async def test_a_request_goes_to_a_target_by_https_and_tells_it_what_the_client_asked_for(
    ours: Authority, edge: RunningEdge
) -> None:
    server = ours.server("localhost")
    async with running_tls_app(make_app(), server) as port:
        await edge.put(document(f"https://localhost:{port}"))
        answer = await edge.get("/echo?a=1")
        assert answer.status == 200
        told = json.loads(answer.body)
        headers = {name.lower(): value for name, value in told["headers"]}
        assert (told["path"], headers["host"], headers["x-forwarded-proto"]) == ("/echo?a=1", "shop.test", "http")
        assert server.asked_for == ["localhost"]


async def test_large_bodies_go_both_ways(ours: Authority, edge: RunningEdge) -> None:
    async with running_tls_app(make_app(), ours.server("localhost")) as port, aiohttp.ClientSession() as session:
        await edge.put(document(f"https://localhost:{port}"))
        url = f"http://127.0.0.1:{edge.port}"
        body = b"".join(body_blocks(SIZE_BYTES))
        async with session.post(f"{url}/upload", data=io.BytesIO(body), headers=HOST) as answer:
            told = await answer.json()
            assert told["sha256"] == hashlib.sha256(body).hexdigest()
        for query in ("", "?chunked=1"):
            async with session.get(f"{url}/bytes/{SIZE_BYTES}{query}", headers=HOST) as answer:
                assert await answer.read() == body


async def test_a_websocket_goes_through_to_a_target_by_https(ours: Authority, edge: RunningEdge) -> None:
    async with running_tls_app(make_app(), ours.server("localhost")) as port, aiohttp.ClientSession() as session:
        await edge.put(document(f"https://localhost:{port}"))
        url = f"http://127.0.0.1:{edge.port}/ws"
        async with session.ws_connect(url, headers=HOST, max_msg_size=0) as web_socket:
            for message in (b"", b"hello", b"x" * 3_000_000):
                await web_socket.send_bytes(message)
                assert await web_socket.receive_bytes() == message
            assert await web_socket.close()


async def test_a_target_that_cannot_prove_itself_is_a_502_whose_reason_only_the_log_tells(
    ours: Authority, edge: RunningEdge, tmp_path: Path
) -> None:
    async with running_tls_app(make_app(), ours.server("other.test")) as port:
        with refusing_port() as dead:
            await edge.put(document(f"https://127.0.0.1:{port}", f"http://127.0.0.1:{dead}", retry={"attempts": 0}))
            answers = [await edge.get("/echo") for _ in range(2)]
        assert {answer.status for answer in answers} == {502}
        assert {json.loads(answer.body)["error"] for answer in answers} == {"upstream_connect"}
        assert not any(b"ertificate" in answer.body for answer in answers)
        await edge.worker.log.close()
        lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
        assert {line["target"] for line in lines} == {f"127.0.0.1:{port}", f"127.0.0.1:{dead}"}
        [detail] = [line["detail"] for line in lines if line["target"] == f"127.0.0.1:{port}"]
        assert "SSLCertVerificationError: IP address mismatch" in detail


async def test_the_log_names_the_target_that_answered_and_how_many_were_tried(
    ours: Authority, edge: RunningEdge, tmp_path: Path
) -> None:
    async with running_tls_app(make_app(), ours.server("localhost")) as port:
        with refusing_port() as dead:
            await edge.put(document(f"http://127.0.0.1:{dead}", f"https://localhost:{port}/"))
            assert (await edge.get("/echo")).status == 200
            await edge.get("/nowhere", host="unknown.test")
        await edge.worker.log.close()
        tried, untried = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
        assert (tried["target"], tried["attempts"]) == (f"localhost:{port}", 2)
        assert 0 <= tried["upstream_ms"] <= tried["duration_ms"]
        assert {"target", "attempts", "upstream_ms"}.isdisjoint(untried)


@pytest.mark.parametrize(("is_trusted", "status"), [(True, 200), (False, 502)])
async def test_a_node_trusts_the_authorities_of_ssl_cert_file(
    ours: Authority, redis_url: str, tmp_path: Path, is_trusted: bool, status: int
) -> None:
    trusted = ours if is_trusted else Authority()
    state = OriginState()
    server = ours.server("localhost")
    async with running_tls_app(make_app(state), server) as port, connect(redis_url, "control") as client:
        checks = {"health": {"path": "/healthz", "interval": "1s"}} if is_trusted else {}
        await put_tenant(Catalog(client), document(f"https://localhost:{port}", **checks))
        env = {"SSL_CERT_FILE": str(trusted.write(tmp_path))}
        async with running_node(redis_url, workers=1, **env) as node, aiohttp.ClientSession() as session:

            async def ask() -> int:
                async with session.get(f"http://127.0.0.1:{node.port}/status/200", headers=HOST) as answer:
                    return answer.status

            async def is_served() -> bool:
                return await ask() == status

            async with asyncio.timeout(20):
                await eventually(is_served)
            if is_trusted:
                await until(lambda: state.hits["/healthz"] > 0, 5)
                assert server.asked_for[0] == "localhost"
