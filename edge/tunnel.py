"""Bytes between a client and a target after the target's 101, both ways, with back-pressure and an idle deadline.

A tunnel begins only when the target has switched protocols (RFC 9110 section 7.8); from then on neither side is
parsed. It has no task of its own: each side's protocol hands over what it received and the tunnel writes it to the
other side, and whichever side cannot write stops the other from reading.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class TunnelEnd(Protocol):
    """What a tunnel needs of a connection: its transport, and whether its write buffer is over the high-water mark."""

    transport: asyncio.Transport | None

    @property
    def writing_paused(self) -> bool: ...


class Tunnel:
    """Joins two upgraded connections until either of them ends; `await closed()` for that, then call `close`.

    The ends owe it four calls: `from_client` and `from_upstream` with received bytes, `client_writable` and
    `upstream_writable` when a paused write buffer has drained, and `end` when a connection is lost.
    """

    def __init__(self, client: TunnelEnd, upstream: TunnelEnd, idle_timeout_s: float) -> None:
        self._client = client
        self._upstream = upstream
        self._idle_timeout_s = idle_timeout_s
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._last_byte_at_s = self._loop.time()
        self._timer = self._loop.call_later(idle_timeout_s, self._check_idle)
        self.bytes_from_client = 0
        self.bytes_from_upstream = 0

    def from_client(self, data: bytes) -> None:
        """Pass bytes on to the target."""
        self.bytes_from_client += len(data)
        self._pass_on(data, self._client, self._upstream)

    def from_upstream(self, data: bytes) -> None:
        """Pass bytes on to the client."""
        self.bytes_from_upstream += len(data)
        self._pass_on(data, self._upstream, self._client)

    def client_writable(self) -> None:
        """Let the target be read again: the client has taken what was waiting."""
        _resume(self._upstream.transport)

    def upstream_writable(self) -> None:
        """Let the client be read again: the target has taken what was waiting."""
        _resume(self._client.transport)

    def end(self) -> None:
        """Note that one side is gone; idempotent."""
        if not self._closed.done():
            self._closed.set_result(None)

    async def closed(self) -> None:
        """Wait until either side is gone or the tunnel has been idle too long."""
        await self._closed

    def close(self) -> None:
        """Close both sides, after what is already written to them has gone out; idempotent."""
        self._timer.cancel()
        self.end()
        for side in (self._client, self._upstream):
            if side.transport is not None:
                side.transport.close()

    def _pass_on(self, data: bytes, source: TunnelEnd, sink: TunnelEnd) -> None:
        self._last_byte_at_s = self._loop.time()
        if sink.transport is None or sink.transport.is_closing():
            self.end()
            return
        sink.transport.write(data)
        if sink.writing_paused and source.transport is not None:
            source.transport.pause_reading()

    def _check_idle(self) -> None:
        due_at_s = self._last_byte_at_s + self._idle_timeout_s
        if self._loop.time() >= due_at_s:
            self.end()
        else:
            self._timer = self._loop.call_at(due_at_s, self._check_idle)


def _resume(transport: asyncio.Transport | None) -> None:
    if transport is not None and not transport.is_closing():
        transport.resume_reading()


class TunnelSink:
    """Stands where `RequestHandler` expects the parser of an upgraded connection."""

    __slots__ = ("_tunnel",)

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take received bytes; never the end, which `feed_eof` tells."""
        self._tunnel.from_client(data)
        return False, b""

    def feed_eof(self) -> None:
        """Take the end of the client's connection."""
        self._tunnel.end()
