"""Kind by kind: a node of its own, a crowd before it, a bystander beside it, and what the worker's memory does."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import trustme
from aiohttp import ClientSession

from loadtest.node import Node, put_tenant, running_node, running_origin_process
from loadtest.slow.bystander import Seen, bystander
from loadtest.slow.crowd import Crowd, crowd_at
from loadtest.slow.kinds import HOST, Kind, Scale, document, kinds
from loadtest.slow.report import Bombs, Found
from loadtest.slow.targets import READ_BYTES, bomb, deaf_target, running_echo, running_source
from store.catalog import Catalog
from store.client import connect
from store.embedded import RedisProcess

ALONE_S = 1.5
SAMPLE_EVERY_S = 0.02
LATE_S = 40.0
LOOKS, LOOK_EVERY_S = 100, 0.1
DRIP_EVERY_S = 1.0
PIECE = bytes(1 << 16)
BOMBS = 4
UNPACKED_BYTES = 10 << 30
QUICK = "/status/200"
IDLE_TARGETS = 1  # the bystander's
HTTPS = re.compile(r"https://127\.0\.0\.1:([0-9]+)")


@dataclass
class Worker:
    """The node's one worker, seen from outside; `peak_bytes` is its highest resident memory since it is watched."""

    node: Node
    process: psutil.Process
    peak_bytes: int = 0

    @property
    def resident_bytes(self) -> int:
        """Its resident memory now."""
        return int(self.process.memory_info().rss)

    async def watch(self) -> None:
        """Note the highest, until cancelled."""
        while True:
            self.peak_bytes = max(self.peak_bytes, self.resident_bytes)
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def target_connections(self) -> int:
        """Ask how many connections to targets it has."""
        async with ClientSession() as session, session.get(f"{self.node.ops_url}/metrics") as answer:
            told = re.search(r"^portico_upstream_connections ([0-9.]+)", await answer.text(), re.MULTILINE)
        assert told is not None
        return int(float(told[1]))

    def port(self, *, is_tls: bool) -> int:
        """Give the port for clients by HTTP or by HTTPS."""
        if not is_tls:
            return self.node.port
        told = HTTPS.search("".join(self.node.said))
        assert told is not None
        return int(told[1])


@dataclass(frozen=True, slots=True)
class Stage:
    """What all kinds share: a Redis with the tenant in it, and the settings of each node."""

    redis_url: str
    settings: dict[str, str]

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """Run a node of its own."""
        async with running_node(self.redis_url, workers=1, **self.settings) as node:
            [pid] = await node.worker_pids()
            yield Worker(node, psutil.Process(pid))


async def measure(scale: Scale, only: Sequence[str] = ()) -> tuple[list[Found], Bombs | None]:
    """Measure kind by kind, those of the rows in `only` if it names any."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="portico-")))
        redis = stack.enter_context(RedisProcess(folder))
        client = await stack.enter_async_context(connect(redis.url, "control"))
        ports = {
            "quick": await stack.enter_async_context(running_origin_process()),
            "slow": await stack.enter_async_context(running_origin_process()),
            "deaf": stack.enter_context(deaf_target()),
            "much": await stack.enter_async_context(running_source()),
            "echo": await stack.enter_async_context(running_echo()),
        }
        await put_tenant(Catalog(client), document(ports, scale))
        stage = Stage(redis.url, {**scale.settings(), **_tls(folder)})
        found = [await _measured(stage, kind) for kind in kinds(scale) if not only or kind.row in only]
        return found, await _bombed(stage) if not only or "T62" in only else None


def _tls(folder: Path) -> dict[str, str]:
    made = trustme.CA().issue_cert(HOST)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    made.cert_chain_pems[0].write_to_path(str(certificate))
    made.private_key_pem.write_to_path(str(key))
    files = {"PORTICO_TLS_CERT": str(certificate), "PORTICO_TLS_KEY": str(key)}
    return {"PORTICO_LISTEN_TLS": "127.0.0.1:0", **files}


async def _measured(stage: Stage, kind: Kind) -> Found:
    async with stage.worker() as worker:
        alone = await _seen_alone(worker)
        before_bytes = worker.resident_bytes
        async with bystander(worker.node.port, HOST, QUICK) as beside, _watched(worker):
            with crowd_at(worker.port(is_tls=kind.is_tls), is_reading=kind.is_reading) as crowd:
                await crowd.come(kind.count, kind.first)
                await _last(crowd, kind)
                left = await _left(worker)
        lasted_s = [each.lasted_s for each in crowd.ended] or [0.0]
        grown_bytes = worker.peak_bytes - before_bytes
        each_kib = grown_bytes / kind.count / 1024
        return Found(kind, each_kib, dict(crowd.ends()), min(lasted_s), max(lasted_s), alone, beside[0], left)


async def _seen_alone(worker: Worker) -> Seen:
    async with bystander(worker.node.port, HOST, QUICK) as seen:
        await asyncio.sleep(ALONE_S)
    return seen[0]


@asynccontextmanager
async def _watched(worker: Worker) -> AsyncIterator[None]:
    watching = asyncio.create_task(worker.watch())
    try:
        yield
    finally:
        watching.cancel()


async def _last(crowd: Crowd, kind: Kind) -> None:
    """Go on as this kind does until all have ended, or much longer than they may."""
    going_on: asyncio.Task[None] | None = None
    if kind.drip:
        going_on = asyncio.create_task(crowd.drip(kind.drip, DRIP_EVERY_S))
    elif kind.is_pouring:
        going_on = asyncio.create_task(crowd.pour(PIECE))
    try:
        await crowd.leave(kind.due_s + LATE_S)
    finally:
        if going_on is not None:
            going_on.cancel()


async def _left(worker: Worker) -> int:
    """Say how many connections to targets are left when they have had a moment to end."""
    for _ in range(LOOKS):
        left = await worker.target_connections() - IDLE_TARGETS
        if left <= 0:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    return left


async def _bombed(stage: Stage) -> Bombs:
    """Send a body that unpacks to a thousand times its size up and take it back, one after the other."""
    packed = bomb(UNPACKED_BYTES)
    async with stage.worker() as worker:
        alone = await _seen_alone(worker)
        await _sent_and_taken(worker, bytes(len(packed)))  # what is made once has been made
        before_bytes = worker.resident_bytes
        async with bystander(worker.node.port, HOST, QUICK) as beside, _watched(worker):
            identical = sum([await _sent_and_taken(worker, packed) for _ in range(BOMBS)])
        grown_kib = (worker.peak_bytes - before_bytes) / 1024
        return Bombs(BOMBS, len(packed), UNPACKED_BYTES, identical, grown_kib, alone, beside[0])


async def _sent_and_taken(worker: Worker, body: bytes) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.node.port, limit=READ_BYTES)
    fields = f"Host: {HOST}\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}"
    try:
        writer.write(f"POST /bomb HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        is_whole = b"Content-Encoding: gzip\r\n" in head and f"Content-Length: {len(body)}\r\n".encode() in head
        return is_whole and await reader.readexactly(len(body)) == body
    finally:
        writer.close()
