"""The load programs against an upstream of aiohttp: one that behaves, and ones that do not."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from aiohttp import web

from loadtest.compare import idle_load, paced_load, websocket_load
from loadtest.compare.nginx_server import ANSWER


@asynccontextmanager
async def serving(status: int = 200, delay_s: float = 0.0) -> AsyncIterator[int]:
    async def answer(_request: web.Request) -> web.Response:
        await asyncio.sleep(delay_s)
        return web.Response(status=status, text=f"{ANSWER}\n")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def paced(port: int, rate_per_s: float, seconds: float) -> paced_load.Paced:
    load = paced_load.Paced(port, [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
    try:
        load.drive(rate_per_s, seconds)
    finally:
        load.close()
    return load


async def test_paced_requests_are_as_many_as_the_rate_says() -> None:
    async with serving() as port:
        load = await asyncio.to_thread(paced, port, 200, 0.5)
    assert len(load.latencies_s) == 100
    assert load.failed == 0


async def test_a_latency_counts_from_when_a_request_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paced_load, "CONNECTIONS", 1)
    async with serving(delay_s=0.05) as port:
        load = await asyncio.to_thread(paced, port, 100, 0.2)
    # One connection, so the twentieth answer comes after twenty delays although it was due after 0.19 s.
    assert max(load.latencies_s) > 20 * 0.05 - 0.19


async def test_paced_requests_that_are_refused_are_counted() -> None:
    async with serving(status=503) as port:
        load = await asyncio.to_thread(paced, port, 100, 0.1)
    assert load.failed == len(load.latencies_s) == 10


def test_the_summary_leaves_the_warm_up_out() -> None:
    found = paced_load.summary([9.0] * 20 + [0.001] * 79 + [0.002], 3)
    assert found == {"requests": 100, "failed": 3, "p50_ms": 1.0, "p99_ms": 2.0} | {"p99_ms": found["p99_ms"]}
    assert found["p99_ms"] == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nA: b\r\n\r\nab", True),
        (b"HTTP/1.1 200 OK\r\nConte", False),
    ],
)
def test_an_answer_is_whole_with_its_last_byte(received: bytes, expected: bool) -> None:
    assert idle_load.is_whole(received) is expected


def test_an_answer_that_is_an_error_is_no_idle_connection() -> None:
    with pytest.raises(ConnectionError, match=r"HTTP/1\.1 503 Busy"):
        idle_load.is_whole(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")


async def test_idle_connections_are_there_until_the_other_side_closes_them() -> None:
    async with serving() as port:
        links = await asyncio.to_thread(lambda: [idle_load.opened(port, "a", number) for number in range(3)])
        assert idle_load.closed_among(links) == 0
    assert idle_load.closed_among(links) == 3
    for link in links:
        link.close()


@contextmanager
def tunnel(upstream_port: int, change: Callable[[bytes], bytes] = bytes) -> Iterator[int]:
    """Pass one connection on to the upstream, both ways."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(4096):
                sink.sendall(change(data))
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve() -> None:
        client, _ = listener.accept()
        with client, socket.create_connection(("127.0.0.1", upstream_port)) as upstream:
            back = threading.Thread(target=pass_on, args=(upstream, client))
            back.start()
            pass_on(client, upstream)
            back.join()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()
        listener.close()


def test_messages_go_there_and_back_one_at_a_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as upstream, tunnel(upstream.getsockname()[1]) as port:
        client, served = websocket_load.opened(port, "a", upstream)
        with client, served:
            count, seconds = websocket_load.drive([(client, served)], 0.2)
    assert count > 10
    assert 0.2 <= seconds < 5


def test_a_tunnel_that_changes_messages_is_not_measured() -> None:
    changed: Callable[[bytes], bytes] = lambda data: data.replace(b"mm", b"nn")  # noqa: E731
    with socket.create_server(("127.0.0.1", 0)) as upstream, tunnel(upstream.getsockname()[1], changed) as port:
        with pytest.raises(ConnectionError, match="not what was sent"):
            websocket_load.opened(port, "a", upstream)


def test_the_handshake_is_answered_as_the_rfc_says() -> None:
    head = b"GET /ws HTTP/1.1\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"  # RFC 6455 section 1.3
    assert websocket_load.accept_of(head) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
