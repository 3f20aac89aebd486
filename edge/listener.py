"""The sockets a worker accepts on, from the first connection to the last answer of a drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from edge.server import EdgeServer

# How many connections may wait to be accepted, which is also how many one wake-up of the loop accepts.
BACKLOG = 512


class Listener:
    """Accepts on sockets that are bound already (the master holds them, so that a respawned worker gets the same)."""

    def __init__(self, sockets: Sequence[socket.socket], server: EdgeServer) -> None:
        self._sockets = tuple(sockets)
        self._server = server
        self._accepting: list[asyncio.Server] = []

    async def start(self) -> None:
        """Begin to accept."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            self._accepting.append(await loop.create_server(self._server, sock=sock, backlog=BACKLOG))

    def stop_accepting(self) -> None:
        """Accept nothing more; what waits in a socket's queue stays there for the worker that gets it next."""
        accepting, self._accepting = self._accepting, []
        for server in accepting:
            server.close()

    async def drain(self, grace_s: float) -> None:
        """Let the requests under way end within `grace_s`, then cut what is left; idle connections end at once."""
        self.stop_accepting()
        await self._server.drain(grace_s)
