"""The idle connections of one target, and how a new one is made: resolve, check the address, connect, in that order.

The address that is connected to is the very one that was checked, so a name that changes its mind between the check
and the connection (DNS rebinding) reaches nothing it should not. By TLS a target proves its name by the certificates
that the system trusts, or those of `SSL_CERT_FILE`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from edge.answer import UpstreamError
from edge.telemetry.counters import UpstreamCounters
from edge.transport import UpstreamConnection
from edge.upstreams.names import IPAddress, Name, Resolver

MAX_IDLE = 64
MAX_IDLE_S = 50.0  # below the 60 s and 75 s after which common servers close an idle connection on their side
GOODBYE_S = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a target listens; `server_name` is the name its certificate must bear (SNI), for TLS only."""

    host: str
    port: int
    is_tls: bool = False
    server_name: str | None = None

    @property
    def authority(self) -> str:
        """Host and port, as logs have them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ConnectionPool:
    """Connections to one address: `acquire` gives an idle one or a new one; they come back by themselves.

    `allow` says of each resolved address whether it may be connected to (the egress filter); `name` is the host's, by
    default one that nobody else's lookups wait for. The caller bounds how many are out at once; the pool bounds how
    many stay idle.
    """

    def __init__(
        self,
        address: Address,
        *,
        connect_timeout_s: float,
        allow: Callable[[IPAddress], bool],
        name: Name | None = None,
        counters: UpstreamCounters | None = None,
    ) -> None:
        self.address = address
        self.connect_timeout_s = connect_timeout_s
        self.counters = counters or UpstreamCounters()
        self._allow = allow
        self._name = name or Name(address.host, "", Resolver())
        self._tls = client_tls() if address.is_tls else None
        self._idle: list[UpstreamConnection] = []
        self._is_closed = False

    @property
    def idle_count(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    async def acquire(self) -> UpstreamConnection:
        """Give a connection, the most recently used idle one first; UpstreamError when none can be made."""
        return self.idle() or await self.connect()

    def idle(self) -> UpstreamConnection | None:
        """Give the most recently used idle connection, None when there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable() and not connection.has_idled(MAX_IDLE_S):
                connection.is_reused = True
                return connection
            connection.close()
        return None

    async def connect(self) -> UpstreamConnection:
        """Make a new connection; UpstreamError `upstream_connect` or, past the deadline, `upstream_timeout`."""
        connects = self.counters.connects
        try:
            async with asyncio.timeout(self.connect_timeout_s):
                connection = await self._connect()
        except TimeoutError as error:
            connects["timeout"] += 1
            raise UpstreamError("upstream_timeout", "no connection in time", is_request_sent=False) from error
        except OSError as error:  # ssl.SSLError is one too
            connects["failed"] += 1
            raise UpstreamError("upstream_connect", _detail(error), is_request_sent=False) from error
        connects["made"] += 1
        return connection

    def close(self) -> None:
        """Close what is idle, and whatever comes back later; idempotent."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    async def _connect(self) -> UpstreamConnection:
        last_error: OSError | None = None
        for ip in await self._name.addresses():
            if not self._allow(ip):
                last_error = last_error or PermissionError("address not allowed by the egress filter")
                continue
            try:
                return await self._connect_to(ip)
            except OSError as error:
                last_error = error
        raise last_error or OSError("the name has no address")

    async def _connect_to(self, ip: IPAddress) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        address, is_tls = self.address, self._tls is not None
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(loop, self._take_back, self.counters),
            str(ip),
            address.port,
            ssl=self._tls,
            server_hostname=(address.server_name or address.host) if is_tls else None,
            ssl_shutdown_timeout=GOODBYE_S if is_tls else None,
        )
        return connection

    def _take_back(self, connection: UpstreamConnection) -> None:
        if self._is_closed or len(self._idle) >= MAX_IDLE:
            connection.close()
        else:
            self._idle.append(connection)


def _detail(error: OSError) -> str:
    """Say why there is no connection, for the log; what is wrong with a certificate or a name is worth a word more."""
    why = str(error) if error.errno is None else ""
    if isinstance(error, ssl.SSLError):
        why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
    return f"cannot connect: {type(error).__name__}: {why}".removesuffix(": ")


@lru_cache(maxsize=1)
def client_tls() -> ssl.SSLContext:
    """Give the one context of this process: TLS 1.2 and up, HTTP/1.1 alone, certificates and names verified."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
