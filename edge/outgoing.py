"""Requests of the edge's own to services that tenants name: key sets, OpenID providers, forward-auth services.

Who names a service may name our own network, so the address that is about to be connected to is judged by the egress
filter, whatever its name resolved to a moment before. Nothing is followed, kept or believed: no redirects, no cookies,
no proxies from the environment, and an answer is read up to a bound. Each tenant has connections of its own, lookups
of its own and a bound of its own, so that one whose services are slow waits alone.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio import Semaphore, Task
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any, NamedTuple

from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from edge.errors import EdgeError
from edge.pool import client_tls
from edge.upstreams.egress import Allows
from edge.upstreams.names import Name, Resolver

AUTH_UNAVAILABLE = "auth_unavailable"
TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 1024 * 1024
MAX_IN_FLIGHT = 2048
MAX_PER_TENANT = 32
MAX_IDLE_TENANTS = 256
MAX_NAMES = 64  # of one tenant
KEEP_ALIVE_S = 4.0  # below the 5 s of common servers: a POST on a connection that is just being closed is lost
_NOT_OURS_TO_SAY = ("User-Agent", "Accept", "Accept-Encoding")
Fields = Mapping[str, str] | CIMultiDict[str]
_NO_TIMEOUT = ClientTimeout(total=None, sock_connect=None)


class Answer(NamedTuple):
    """What a service has answered, whole; its body as it came, in whatever Content-Encoding."""

    status: int
    fields: CIMultiDictProxy[str]
    body: bytes


class Outgoing:
    """Asks services, within a time and up to a size; the owner owes `aclose()`.

    Make it with a running loop. `is_allowed` judges each address and port at the moment of connecting to it;
    `resolver` looks names up, by default in threads of its own.
    """

    def __init__(
        self,
        is_allowed: Allows,
        resolver: Resolver | None = None,
        *,
        per_tenant: int = MAX_PER_TENANT,
        max_idle_tenants: int = MAX_IDLE_TENANTS,
    ) -> None:
        self._is_allowed = is_allowed
        self._resolver = resolver or Resolver()
        self._per_tenant = per_tenant
        self._max_idle_tenants = max_idle_tenants
        self._in_flight = Semaphore(MAX_IN_FLIGHT)
        self._tenants: OrderedDict[str, _TenantClient] = OrderedDict()
        self._closing: set[Task[None]] = set()

    def of(self, tenant: str, max_bytes: int = MAX_ANSWER_BYTES) -> Asker:
        """Give what asks services that this tenant has named, for answers of so many bytes at most."""
        return Asker(self, tenant, max_bytes)

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[_TenantClient]:
        """Wait for a tenant's turn and give its connections for as long as the turn lasts."""
        client = self._client(tenant)
        client.holders += 1
        try:
            async with client.in_flight, self._in_flight:
                yield client
        finally:
            client.holders -= 1
            self._forget_idle()

    async def aclose(self) -> None:
        """Close its connections; idempotent."""
        clients = [*self._tenants.values()]
        self._tenants.clear()
        for client in clients:
            await client.aclose()
        await asyncio.gather(*self._closing)
        await asyncio.sleep(0)  # for the loop to end what was closed

    def _client(self, tenant: str) -> _TenantClient:
        client = self._tenants.get(tenant)
        if client is None:
            client = self._tenants[tenant] = _TenantClient(tenant, self._is_allowed, self._resolver, self._per_tenant)
        self._tenants.move_to_end(tenant)
        return client

    def _forget_idle(self) -> None:
        """Let go of the tenants that have asked nothing the longest, beyond so many that ask nothing now."""
        if len(self._tenants) <= self._max_idle_tenants:
            return
        idle = [tenant for tenant, client in self._tenants.items() if not client.holders]
        for tenant in idle[: max(0, len(idle) - self._max_idle_tenants)]:
            closing = asyncio.create_task(self._tenants.pop(tenant).aclose())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks the services of one tenant."""

    outgoing: Outgoing
    tenant: str
    max_bytes: int = MAX_ANSWER_BYTES

    async def ask(
        self,
        method: str,
        url: str,
        fields: Fields | None = None,
        data: Mapping[str, str] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """Ask a service and give its whole answer, whatever its status, a redirect too; `data` goes as a form.

        The time includes waiting for the tenant's turn. EdgeError `auth_unavailable` when the service cannot be
        reached, is too slow or says too much.
        """
        try:
            async with (
                asyncio.timeout(timeout_s),
                self.outgoing.turn(self.tenant) as client,
                client.request(method, url, fields, data) as response,
            ):
                return Answer(response.status, response.headers, await _bounded(response, self.max_bytes))
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            raise EdgeError(AUTH_UNAVAILABLE, f"a service asked by the edge: {_why(error)}") from error


async def _bounded(response: ClientResponse, max_bytes: int) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > max_bytes:
            response.close()
            raise ValueError("the answer is too long")
    return bytes(body)


class _TenantClient(AbstractResolver):
    """One tenant's connections to its services, what their names lead to, and how many are asked at once."""

    def __init__(self, tenant: str, is_allowed: Allows, resolver: Resolver, per_tenant: int) -> None:
        self.holders = 0
        self.in_flight = Semaphore(per_tenant)
        self._tenant = tenant
        self._is_allowed = is_allowed
        self._lookups = resolver
        self._names: dict[str, Name] = {}
        connector = TCPConnector(
            limit=0,  # the semaphores are the limit
            ssl=client_tls(),
            resolver=self,
            use_dns_cache=False,  # `Name` remembers, and forgets failures sooner
            socket_factory=self._socket,
            keepalive_timeout=KEEP_ALIVE_S,
        )
        self._session = ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=_NOT_OURS_TO_SAY,
            timeout=_NO_TIMEOUT,  # the whole has one
        )

    def request(
        self, method: str, url: str, fields: Fields | None, data: Mapping[str, str] | None
    ) -> AbstractAsyncContextManager[ClientResponse]:
        address = URL(url, encoded=True)
        return self._session.request(method, address, headers=fields, data=data, allow_redirects=False)

    async def aclose(self) -> None:
        await self._session.close()

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - any, whichever is asked for
    ) -> list[ResolveResult]:
        """Look a name up, for aiohttp; OSError when it has no address."""
        name = self._names.get(host)
        if name is None:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            name = self._names[host] = Name(host, self._tenant, self._lookups)
        return [
            ResolveResult(
                hostname=host,
                host=str(ip),
                port=port,
                family=socket.AF_INET if isinstance(ip, IPv4Address) else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for ip in await name.addresses()
        ]

    async def close(self) -> None:
        """Nothing is held between two lookups."""

    def _socket(self, info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        """Make the socket for an address that may be reached: here, since an address in a URL is never looked up."""
        family, kind, protocol, _, address = info
        if not self._is_allowed(ip_address(address[0]), address[1]):
            raise PermissionError("address not allowed by the egress filter")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def _why(error: Exception) -> str:
    """Say what went wrong, for the log: kinds of errors and what we say ourselves, nothing that a service says."""
    if isinstance(error, ClientConnectorError):
        error = error.os_error
    is_ours = isinstance(error, PermissionError) and error.errno is None
    return f"{type(error).__name__}: {error}" if is_ours or type(error) is ValueError else type(error).__name__
