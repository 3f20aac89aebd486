"""An edge node and what it needs, as processes of their own on loopback: for measurements and for the tests."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession

from store.catalog import Catalog, Change
from store.codec import TenantRecord
from store.model import dump_document, parse_document

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
URL = re.compile(r"http://([0-9.]+):([0-9]+)")


class StartError(Exception):
    """A process ended before it was ready; the message is what it said."""


@dataclass
class Running:
    """A process that is ready. `said` is what it has written to standard error, which goes on being read."""

    process: Process
    ports: tuple[int, ...]
    said: list[str] = field(default_factory=list)

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, by force after a while; returns its exit status."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                return await self.process.wait()
        except TimeoutError:
            self.process.kill()
            return await self.process.wait()


@dataclass
class Node(Running):
    """An edge node; its first port is where clients connect, its last the ops listener's."""

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.ports[0]

    @property
    def ops_url(self) -> str:
        """Where the node answers for itself."""
        return f"http://127.0.0.1:{self.ports[-1]}"

    async def status(self) -> dict[str, Any]:
        """Ask for /status."""
        async with ClientSession() as session, session.get(f"{self.ops_url}/status") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def worker_pids(self) -> list[int]:
        """Ask for the workers' process ids, by their places."""
        return [worker["pid"] for worker in (await self.status())["workers"]]


@asynccontextmanager
async def running_node(redis_url: str, *, workers: int = 2, **settings: str) -> AsyncIterator[Node]:
    """Run `python -m edge` on free ports until the context ends; `settings` are environment variables.

    Loopback may be reached by upstreams, and the access log is off, unless `settings` say otherwise.
    """
    env = {
        "PORTICO_REDIS_URL": redis_url,
        "PORTICO_EGRESS_ALLOW": "127.0.0.0/8",
        "PORTICO_ACCESS_LOG": "off",
        "PORTICO_LISTEN": "127.0.0.1:0",
        "PORTICO_OPS": "127.0.0.1:0",
        "PORTICO_WORKERS": str(workers),
        **settings,
    }
    async with _running(("edge",), env, " serves http://") as started:
        yield Node(started.process, started.ports, started.said)


@asynccontextmanager
async def running_origin_process() -> AsyncIterator[int]:
    """Run `python -m loadtest.origin` on a free port and yield the port."""
    async with _running(("loadtest.origin", "--listen", "127.0.0.1:0"), {}, "listens on http://") as started:
        yield started.ports[0]


@asynccontextmanager
async def _running(command: tuple[str, ...], env: Mapping[str, str], ready: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **env},
        start_new_session=True,
    )
    running = Running(process, ())
    reading: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await _line_with(running, ready)
        running.ports = tuple(int(port) for _, port in URL.findall(line))
        reading = asyncio.create_task(_read_on(running))
        yield running
    finally:
        await running.stop()
        if reading is not None:
            await reading


async def _line_with(running: Running, text: str) -> str:
    assert running.process.stdout is not None
    while line := (await running.process.stdout.readline()).decode(errors="replace"):
        running.said.append(line.rstrip())
        if text in line:
            return line
    raise StartError("\n".join(running.said) or "it said nothing")


async def _read_on(running: Running) -> None:
    assert running.process.stdout is not None
    while line := (await running.process.stdout.readline()).decode(errors="replace"):
        running.said.append(line.rstrip())


def change_of(document: Mapping[str, Any]) -> Change:
    """Check a document and make the change that puts it in place. Raises DocumentError."""
    record = TenantRecord(dump_document(parse_document(document)))
    return Change(tenant=document["tenant"], record=record, actor="loadtest", action="tenant.put")


async def put_tenant(catalog: Catalog, document: Mapping[str, Any]) -> int:
    """Check a document and commit it; returns the revision. Raises what the two may raise."""
    return (await catalog.commit(change_of(document), None)).revision
