"""All client connections of one worker: made as they are accepted, counted, and brought to their end by a drain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from edge.census import Census, ConnectionLimits
from edge.connection import READ_BUFFER_BYTES, ClientConnection, Serve
from edge.head import MAX_FIELD_BYTES

CUT_TIMEOUT_S = 1.0


class EdgeServer(web.Server):
    """Makes a `ClientConnection` for each accepted socket and knows those that are open."""

    def __init__(
        self, serve: Serve, limits: ConnectionLimits | None = None, is_exempt: Callable[[str], bool] = lambda _: False
    ) -> None:
        """`is_exempt` says of which addresses any number of connections may come."""
        self.limits = limits or ConnectionLimits()
        self.census = Census(self.limits, is_exempt)
        super().__init__(
            _never_called,
            handler_cancellation=True,
            keepalive_timeout=self.limits.keepalive_timeout_s,
            access_log=None,
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=self.limits.max_target_bytes,
            max_field_size=MAX_FIELD_BYTES,
            max_headers=self.limits.max_fields,
        )
        self.serve = serve
        self.is_draining = False
        self._is_empty = asyncio.Event()

    def __call__(self) -> RequestHandler:
        """Make the protocol of one new connection, as `loop.create_server` asks."""
        return ClientConnection(self, loop=self._loop, **self._kwargs)

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    async def drain(self, grace_s: float) -> None:
        """Bring every connection to its end: what is under way within `grace_s`, and cut what is left.

        Idle connections end at once; one that is so new that its first request may be on its way gets a moment for it.
        """
        self.is_draining = True
        await asyncio.sleep(0)  # what was accepted in this turn of the loop is a connection in the next
        for connection in self.connections:
            assert isinstance(connection, ClientConnection)
            connection.retire()
        if not await self._has_emptied(grace_s):
            for connection in self.connections:
                assert isinstance(connection, ClientConnection)
                connection.abort()
            await self._has_emptied(CUT_TIMEOUT_S)

    async def _has_emptied(self, timeout_s: float) -> bool:
        self._is_empty.clear()
        self._note_end()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._is_empty.wait()
        return not self._connections

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection when its loop has ended too."""
        super().connection_lost(handler, exc)
        if handler._task_handler is None:
            self._note_end()
        else:  # after aiohttp's own callback, by which it forgets the connection
            handler._task_handler.add_done_callback(self._note_end)

    def _note_end(self, _: object = None) -> None:
        if not self._connections:
            self._is_empty.set()


async def _never_called(request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError(f"the request loop is overridden: {request!r}")
