"""Requests of the edge's own to services that tenants name: key sets, OpenID providers, forward-auth services.

Who names a service may name our own network, so the address that is about to be connected to is judged by the egress
filter, whatever its name resolved to a moment before. Nothing is followed, kept or believed: no redirects, no cookies,
no proxies from the environment, and an answer is read up to a bound.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from edge.errors import EdgeError
from edge.upstreams.egress import Address

AUTH_UNAVAILABLE = "auth_unavailable"
MAX_ANSWER_BYTES = 1024 * 1024
MAX_CONNECTIONS = 256
MAX_PER_HOST = 32


class Answer(NamedTuple):
    """What a service has answered, whole."""

    status: int
    fields: CIMultiDictProxy[str]
    body: bytes


class Outgoing:
    """Asks services, within a time and up to a size; the owner owes `aclose()`.

    Make it with a running loop. `is_allowed` judges each address at the moment of connecting to it.
    """

    def __init__(self, is_allowed: Callable[[Address], bool]) -> None:
        self._is_allowed = is_allowed
        connector = TCPConnector(
            limit=MAX_CONNECTIONS, limit_per_host=MAX_PER_HOST, socket_factory=self._socket, ttl_dns_cache=5
        )
        self._session = ClientSession(
            connector=connector, cookie_jar=DummyCookieJar(), trust_env=False, auto_decompress=True
        )

    def _socket(self, info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._is_allowed(ip_address(address[0])):
            raise OSError("the address may not be reached from here")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    async def ask(
        self,
        method: str,
        url: str,
        fields: Mapping[str, str] | CIMultiDict[str] | None = None,
        data: Mapping[str, str] | None = None,
        *,
        timeout_s: float = 5.0,
    ) -> Answer:
        """Ask a service and give its whole answer, whatever its status; `data` goes as a form.

        EdgeError `auth_unavailable` when it cannot be reached, is too slow or says too much.
        """
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                headers=fields,
                data=data,
                allow_redirects=False,
                timeout=ClientTimeout(total=timeout_s),
            ) as response:
                return Answer(response.status, response.headers, await _bounded(response.content.iter_chunked(65536)))
        except (ClientError, TimeoutError, OSError, ValueError) as error:
            raise EdgeError(AUTH_UNAVAILABLE, f"a service asked by the edge: {type(error).__name__}") from error

    async def aclose(self) -> None:
        """Close its connections."""
        await self._session.close()
        await asyncio.sleep(0)


async def _bounded(pieces: Any) -> bytes:
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError("the answer is too long")
    return bytes(body)
