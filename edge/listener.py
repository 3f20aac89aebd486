"""The sockets a worker accepts on, from the first connection to the last answer of a drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from edge.server import EdgeServer
from edge.tls import TlsDoor

# How many connections may wait to be accepted, which is also how many one wake-up of the loop accepts.
BACKLOG = 512


class Listener:
    """Accepts on sockets that are bound already (the master holds them, so that a respawned worker gets the same).

    On `tls_sockets` clients come in by the `door`, which there must be then.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        server: EdgeServer,
        tls_sockets: Sequence[socket.socket] = (),
        door: TlsDoor | None = None,
    ) -> None:
        self._sockets = tuple(sockets)
        self._server = server
        self._tls_sockets = tuple(tls_sockets)
        self._door = door
        self._accepting: list[asyncio.Server] = []

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            self._accepting.append(await loop.create_server(self._server, sock=sock, backlog=BACKLOG))
        for sock in self._tls_sockets:
            assert self._door is not None
            self._door.accept_on(sock, BACKLOG)

    def stop_accepting(self) -> None:
        """Accept nothing more; what waits in a socket's queue stays there for the worker that gets it next."""
        accepting, self._accepting = self._accepting, []
        for server in accepting:
            server.close()
        if self._door is not None:
            self._door.stop_accepting()

    async def drain(self, grace_s: float) -> None:
        """Let the requests under way end within `grace_s`, then cut what is left; idle connections end at once."""
        self.stop_accepting()
        if self._door is not None:
            await self._door.drain()
        await self._server.drain(grace_s)
