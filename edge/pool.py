"""The idle connections of one target, and how a new one is made: resolve, check the address, connect, in that order.

The address that is connected to is the very one that was checked, so a name that changes its mind between the check
and the connection (DNS rebinding) reaches nothing it should not.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from edge.answer import UpstreamError
from edge.transport import UpstreamConnection

IPAddress = IPv4Address | IPv6Address
RESOLVED_FOR_S = 5.0
MAX_IDLE_S = 50.0  # below the 60 s and 75 s after which common servers close an idle connection on their side


@dataclass(frozen=True, slots=True)
class Address:
    """Where a target listens; `server_name` is the name its certificate must bear (SNI), for TLS only."""

    host: str
    port: int
    is_tls: bool = False
    server_name: str | None = None


class ConnectionPool:
    """Connections to one address: `acquire` gives an idle one or a new one; they come back by themselves.

    `allow` says of each resolved address whether it may be connected to (the egress filter). The caller bounds how
    many are out at once; the pool bounds how many stay idle.
    """

    def __init__(
        self,
        address: Address,
        *,
        connect_timeout_s: float,
        allow: Callable[[IPAddress], bool],
        max_idle: int = 64,
    ) -> None:
        self.address = address
        self.connect_timeout_s = connect_timeout_s
        self._allow = allow
        self._max_idle = max_idle
        self._idle: list[UpstreamConnection] = []
        self._is_closed = False
        self._addresses: tuple[IPAddress, ...] = ()
        self._resolve_again_at_s = 0.0

    @property
    def idle_count(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    async def acquire(self) -> UpstreamConnection:
        """Give a connection, the most recently used idle one first; UpstreamError when none can be made."""
        oldest_s = asyncio.get_running_loop().time() - MAX_IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable() and connection.idle_since_s >= oldest_s:
                connection.is_reused = True
                return connection
            connection.abort()
        return await self.connect()

    async def connect(self) -> UpstreamConnection:
        """Make a new connection; UpstreamError `upstream_connect` or, past the deadline, `upstream_timeout`."""
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                return await self._connect()
        except TimeoutError as error:
            raise UpstreamError("upstream_timeout", "no connection in time", is_request_sent=False) from error
        except OSError as error:  # ssl.SSLError and socket.gaierror are OSErrors too
            detail = f"cannot connect: {type(error).__name__}"
            raise UpstreamError("upstream_connect", detail, is_request_sent=False) from error

    def close(self) -> None:
        """Close what is idle, and whatever comes back later; idempotent."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.abort()

    async def _connect(self) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        address = self.address
        last_error: OSError | None = None
        for ip in await self._resolved(loop):
            if not self._allow(ip):
                last_error = last_error or PermissionError("address not allowed by the egress filter")
                continue
            try:
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(loop, self._take_back),
                    str(ip),
                    address.port,
                    ssl=_client_tls() if address.is_tls else None,
                    server_hostname=(address.server_name or address.host) if address.is_tls else None,
                )
            except OSError as error:
                last_error = error
            else:
                return connection
        raise last_error or OSError("the name has no address")

    async def _resolved(self, loop: asyncio.AbstractEventLoop) -> tuple[IPAddress, ...]:
        """Give the name's addresses, those of a moment ago for a while, and the last good ones while DNS is down."""
        if self._addresses and loop.time() < self._resolve_again_at_s:
            return self._addresses
        try:
            self._addresses = await _resolve(loop, self.address)
        except OSError:
            if not self._addresses:
                raise
        self._resolve_again_at_s = loop.time() + RESOLVED_FOR_S
        return self._addresses

    def _take_back(self, connection: UpstreamConnection) -> None:
        if self._is_closed or len(self._idle) >= self._max_idle:
            connection.abort()
        else:
            self._idle.append(connection)


async def _resolve(loop: asyncio.AbstractEventLoop, address: Address) -> tuple[IPAddress, ...]:
    try:
        return (ip_address(address.host),)
    except ValueError:
        infos = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return tuple(ip_address(info[4][0]) for info in infos)


@lru_cache(maxsize=1)
def _client_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
