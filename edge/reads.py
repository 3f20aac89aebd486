"""Reads of a bounded size: uvloop reads a quarter of a megabyte at once where there is so much.

What was read has to wait somewhere when the other side is slow, before the paused writer and behind it, and reading
stops with the read that passes a stream's high-water mark (64 KiB, the second of these); so its size is what a slow
client costs. All connections of a worker share one buffer: what is in it is copied out before anything else runs.
"""

from __future__ import annotations

import asyncio

READ_BYTES = 40 * 1024

_BUFFER = memoryview(bytearray(READ_BYTES))


class BoundedReads(asyncio.BufferedProtocol):
    """Stands between a transport and a protocol that takes bytes; `bound_reads` puts it there."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(_BUFFER[:nbytes]))

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()


def bound_reads(transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
    """Have a transport read no more than READ_BYTES at once for its protocol; call it in `connection_made`."""
    transport.set_protocol(BoundedReads(protocol))
