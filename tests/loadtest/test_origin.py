from __future__ import annotations

import asyncio
import hashlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import psutil
import pytest
from aiohttp import ClientSession

from loadtest.origin import BLOCK_BYTES, body_blocks
from tests.fakes.origins import running_origin

MIB = 1 << 20


def digest_of(size: int) -> str:
    digest = hashlib.sha256()
    for block in body_blocks(size):
        digest.update(block)
    return digest.hexdigest()


async def test_echo_says_what_arrived_including_repeated_fields_and_the_raw_path() -> None:
    async with running_origin("left") as origin, ClientSession() as session:
        headers = [("X-A", "1"), ("X-A", "2")]
        async with session.put(f"{origin.url}/echo/a%2Fb?q=1&q=2", headers=headers, data="hé") as answer:
            told = await answer.json()
    assert (told["origin"], told["method"], told["body"]) == ("left", "PUT", "hé")
    assert told["path"] == "/echo/a%2Fb?q=1&q=2"
    assert [value for name, value in told["headers"] if name == "X-A"] == ["1", "2"]
    assert origin.state.hits["/echo/a/b"] == 1


async def test_a_body_that_is_not_text_is_echoed_in_base64() -> None:
    async with running_origin() as origin, ClientSession() as session:
        async with session.post(f"{origin.url}/echo", data=b"\xff\x00") as answer:
            assert (await answer.json())["body_base64"] == "/wA="


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 5])
@pytest.mark.parametrize("chunked", [False, True])
async def test_sized_bodies_are_the_announced_bytes(size: int, chunked: bool) -> None:
    async with running_origin() as origin, ClientSession() as session:
        query = {"chunked": "1"} if chunked else {}
        async with session.get(f"{origin.url}/bytes/{size}", params=query) as answer:
            assert answer.headers.get("Content-Length") == (None if chunked else str(size))
            body = await answer.read()
    assert len(body) == size
    assert hashlib.sha256(body).hexdigest() == digest_of(size)


async def test_head_of_a_sized_body_has_its_length_and_no_body() -> None:
    async with running_origin() as origin, ClientSession() as session:
        async with session.head(f"{origin.url}/bytes/12345") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "12345")


def test_no_two_blocks_of_a_body_are_alike() -> None:
    blocks = list(body_blocks(20 * BLOCK_BYTES))
    assert len(set(blocks)) == 20


async def test_an_upload_is_counted_and_hashed() -> None:
    size = 2 * MIB + 3

    async def body() -> AsyncIterator[bytes]:
        for block in body_blocks(size):
            yield block

    async with running_origin() as origin, ClientSession() as session:
        async with session.post(f"{origin.url}/upload", data=body()) as answer:
            assert await answer.json() == {"bytes": size, "sha256": digest_of(size)}


@pytest.mark.parametrize("status", [200, 201, 204, 205, 304, 404, 418, 503, 599])
async def test_any_final_status_can_be_had(status: int) -> None:
    async with running_origin() as origin, ClientSession() as session:
        async with session.get(f"{origin.url}/status/{status}") as answer:
            assert answer.status == status


async def test_what_makes_no_sense_is_a_bad_request() -> None:
    async with running_origin() as origin, ClientSession() as session:
        for path in ("/status/100", "/delay/1.2.3", "/sse?count=x"):
            async with session.get(origin.url + path) as answer:
                assert answer.status == 400, path


async def test_fields_are_set_as_asked_repeats_included() -> None:
    async with running_origin() as origin, ClientSession() as session:
        async with session.get(f"{origin.url}/headers?X-B=1&Set-Cookie=a%3D1&Set-Cookie=b%3D2") as answer:
            assert answer.headers["X-B"] == "1"
            assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]


async def test_events_arrive_one_by_one() -> None:
    async with running_origin() as origin, ClientSession() as session:
        async with session.get(f"{origin.url}/sse?count=3&interval=0") as answer:
            assert answer.content_type == "text/event-stream"
            assert (await answer.text()).count("data: event") == 3


async def test_the_websocket_echoes_text_and_bytes() -> None:
    async with running_origin() as origin, ClientSession() as session:
        async with session.ws_connect(f"{origin.url}/ws", protocols=["chat"]) as ws:
            assert ws.protocol == "chat"
            await ws.send_str("hello")
            await ws.send_bytes(b"\x00\x01")
            assert await ws.receive_str() == "hello"
            assert await ws.receive_bytes() == b"\x00\x01"


async def test_health_can_be_switched() -> None:
    async with running_origin() as origin, ClientSession() as session:
        for status in (503, 200):
            async with session.put(f"{origin.url}/healthz", params={"status": str(status)}) as answer:
                assert answer.status == 204
            async with session.get(f"{origin.url}/healthz") as answer:
                assert answer.status == status


async def test_a_delay_is_waited_for_and_the_hello_page_names_the_origin() -> None:
    async with running_origin("<left>") as origin, ClientSession() as session:
        async with session.get(f"{origin.url}/delay/0.01") as answer:
            assert await answer.text() == "after 0.01 s\n"
        async with session.get(origin.url) as answer:
            assert "Hello from &lt;left&gt;" in await answer.text()


async def test_as_a_process_it_streams_in_flat_memory_and_stops_on_sigterm() -> None:
    command = [sys.executable, "-m", "loadtest.origin", "--listen", "127.0.0.1:0"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().split()[-1]
        memory = psutil.Process(process.pid).memory_info
        async with ClientSession() as session:
            await read_all(session, f"{url}/bytes/{MIB}")
            before = memory().rss
            assert await read_all(session, f"{url}/bytes/{256 * MIB}") == 256 * MIB
        assert memory().rss - before < 20 * MIB
    finally:
        process.terminate()
        assert await process.wait() == 0


async def read_all(session: ClientSession, url: str) -> int:
    size = 0
    async with session.get(url) as answer:
        async for block in answer.content.iter_any():
            size += len(block)
    return size


def test_a_port_in_use_is_one_line_and_status_2() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "loadtest.origin", "--listen", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert address in done.stderr
