"""A large body each way through the edge: is it the same, and what does it cost in memory.

    python -m loadtest bodies [--size 1GiB]

A node with one worker, the sample upstream behind it. The upload is hashed by the upstream and by us, the download by
us and against what the upstream is known to send; the worker's resident memory is read before and all the time during.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import psutil
import uvloop

from loadtest.node import Node, put_tenant, running_node, running_origin_process
from loadtest.origin import body_blocks
from store.catalog import Catalog
from store.client import connect
from store.embedded import RedisProcess
from store.model.units import format_size, parse_size_bytes

HOST = "bodies.example.com"
MEMORY_BAR_BYTES = 20 * 1024 * 1024
SAMPLE_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Passage:
    """One body's way through: whether it arrived as it left, how long it took, and by how much memory grew."""

    what: str
    is_identical: bool
    took_s: float
    grown_bytes: int


async def measure(size_bytes: int) -> list[Passage]:
    """Send a body of this size up and another one down."""
    with tempfile.TemporaryDirectory(prefix="portico-") as folder, RedisProcess(Path(folder)) as redis:
        async with connect(redis.url, "control") as client, running_origin_process() as port:
            await put_tenant(Catalog(client), _document(port))
            async with running_node(redis.url, workers=1) as node:
                await _upload(node, 1024)  # what is made once has been made
                up = await _measured("upload", node, lambda: _upload(node, size_bytes))
                down = await _measured("download", node, lambda: _download(node, size_bytes))
                return [up, down]


def _document(port: int) -> dict[str, object]:
    return {
        "tenant": "bodies",
        "domains": [{"host": HOST, "verified_by": "operator"}],
        "upstreams": {"web": {"targets": [f"http://127.0.0.1:{port}"]}},
        "routes": [{"name": "all", "path": "/*", "upstream": "web"}],
    }


async def _measured(what: str, node: Node, pass_body: Callable[[], object]) -> Passage:
    worker = psutil.Process((await node.worker_pids())[0])
    before = peak = worker.memory_info().rss
    started = perf_counter()
    passing = asyncio.ensure_future(pass_body())  # type: ignore[call-overload]
    while not passing.done():
        peak = max(peak, worker.memory_info().rss)
        await asyncio.wait([passing], timeout=SAMPLE_EVERY_S)
    return Passage(what, bool(passing.result()), perf_counter() - started, peak - before)


async def _upload(node: Node, size_bytes: int) -> bool:
    async with _connected(node) as (reader, writer):
        writer.write(f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size_bytes}\r\n\r\n".encode())
        digest = hashlib.sha256()
        for block in body_blocks(size_bytes):
            digest.update(block)
            writer.write(block)
            await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        told = json.loads(await reader.readexactly(_length(head)))
        return bool(told["bytes"] == size_bytes and told["sha256"] == digest.hexdigest())


async def _download(node: Node, size_bytes: int) -> bool:
    async with _connected(node) as (reader, writer):
        writer.write(f"GET /bytes/{size_bytes} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        if _length(await reader.readuntil(b"\r\n\r\n")) != size_bytes:
            return False
        digest, left = hashlib.sha256(), size_bytes
        while left:
            data = await reader.read(min(left, 1 << 20))
            if not data:
                return False
            digest.update(data)
            left -= len(data)
        return digest.digest() == _digest_of(body_blocks(size_bytes))


@asynccontextmanager
async def _connected(node: Node) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port, limit=1 << 20)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


def _digest_of(blocks: Iterator[bytes]) -> bytes:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.digest()


def report(passages: Sequence[Passage], size_bytes: int) -> str:
    """Write a line for each passage."""
    return "\n".join(
        f"{format_size(size_bytes)} {passage.what}: {'identical' if passage.is_identical else 'NOT THE SAME'}, "
        f"{passage.took_s:.1f} s, resident memory +{passage.grown_bytes / 2**20:.1f} MiB "
        f"(bar {MEMORY_BAR_BYTES // 2**20})"
        for passage in passages
    )


def is_within_bars(passages: Sequence[Passage]) -> bool:
    """Say whether every body was the same and none cost too much."""
    return all(passage.is_identical and passage.grown_bytes < MEMORY_BAR_BYTES for passage in passages)


def main(argv: Sequence[str]) -> int:
    """Measure and print; returns 1 when a body changed or memory grew with it."""
    parser = argparse.ArgumentParser(prog="python -m loadtest bodies")
    parser.add_argument("--size", default="1GiB", type=parse_size_bytes, help="of each body; 1GiB by default")
    size_bytes = parser.parse_args(argv).size
    passages = uvloop.run(measure(size_bytes))
    sys.stdout.write(report(passages, size_bytes) + "\n")
    return 0 if is_within_bars(passages) else 1
