"""A whole edge worker inside of a test's loop, before a real Redis: `async with running_edge(url) as edge`.

await edge.put({"tenant": "acme", ...})     # committed, and applied by the worker when this returns
await edge.request(b"GET / HTTP/1.1\\r\\nHost: shop.test\\r\\nConnection: close\\r\\n\\r\\n")
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from edge.assembly import Worker, assembled
from edge.listener import Listener
from store.catalog import KEEP, Catalog, Change
from store.client import connect
from store.codec import TenantRecord
from store.model import dump_document, parse_document
from store.secrets import ApiKeyRecord, NewKey, new_api_key
from store.settings import load_settings
from tests.fakes.waiting import until

LOOPBACK = "127.0.0.0/8,::1/128"


@dataclass(frozen=True)
class RunningEdge:
    """An edge worker: its port, its parts, and a way to change what it serves."""

    port: int
    worker: Worker
    catalog: Catalog

    async def put(self, document: Mapping[str, Any]) -> int:
        """Commit a tenant's document and wait until the worker has applied the revision."""
        record = TenantRecord(dump_document(parse_document(document)))
        commit = await self.catalog.commit(Change(document["tenant"], record), None)
        await self.reached(commit.revision)
        return commit.revision

    async def delete(self, tenant: str) -> None:
        """Delete a tenant and wait until the worker knows."""
        commit = await self.catalog.commit(Change(tenant, None), None)
        await self.reached(commit.revision)

    async def put_key(self, tenant: str, *, expires_at_ms: int | None = None, scopes: tuple[str, ...] = ()) -> NewKey:
        """Make an API key for a tenant and wait until the worker knows."""
        key = new_api_key()
        record = ApiKeyRecord(key.id, "test", key.hash, 0, expires_at_ms, scopes)
        commit = await self.catalog.commit(Change(tenant, KEEP, put_keys=(record,)), None)
        await self.reached(commit.revision)
        return key

    async def drop_key(self, tenant: str, key_id: str) -> None:
        """Revoke an API key and wait until the worker knows."""
        commit = await self.catalog.commit(Change(tenant, KEEP, drop_keys=(key_id,)), None)
        await self.reached(commit.revision)

    async def reached(self, revision: int, timeout_s: float = 5.0) -> None:
        """Wait until the worker is at a revision."""
        await until(lambda: self.worker.watcher.position.revision >= revision, timeout_s)

    async def request(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own and read until the edge closes it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()

    async def get(self, path: str, host: str = "shop.test", **headers: str) -> Answer:
        """GET a path of a host."""
        return await self.ask("GET", path, host, b"", **headers)

    async def ask(self, method: str, path: str, host: str = "shop.test", body: bytes = b"", **headers: str) -> Answer:
        """Ask with any method; a keyword such as X_API_Key is the header X-API-Key."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if body:
            fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        request = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\r\n".encode()
        return Answer.parse(await self.request(request + body))


@dataclass(frozen=True)
class Answer:
    """An answer taken apart: its status, its fields by lower-case name, its body as it came, each `Set-Cookie`."""

    status: int
    headers: dict[str, str]
    body: bytes
    set_cookies: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Answer:
        """Take a whole answer apart."""
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        set_cookies = tuple(line.partition(": ")[2] for line in lines if line.lower().startswith("set-cookie: "))
        return cls(int(first.split(" ", 2)[1]), headers, body, set_cookies)


@asynccontextmanager
async def running_edge(
    redis_url: str, env: Mapping[str, str] | None = None, /, **flags: str
) -> AsyncIterator[RunningEdge]:
    """Run one worker in this loop on a free port of 127.0.0.1; it may reach loopback targets.

    `env` is for settings that have no flag.
    """
    given = {"redis_url": redis_url, "egress_allow": LOOPBACK, "access_log": "off", "node": "test", **flags}
    settings = load_settings("edge", given, env or {})
    async with connect(redis_url, "control") as client, assembled(settings, 0) as worker:
        watching = asyncio.create_task(worker.watcher.run())
        await asyncio.wait_for(worker.watcher.caught_up.wait(), 5)
        sock = socket.create_server(("127.0.0.1", 0))
        listener = Listener([sock], worker.server)
        await listener.start()
        try:
            yield RunningEdge(sock.getsockname()[1], worker, Catalog(client))
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            await listener.drain(0.1)
            sock.close()
