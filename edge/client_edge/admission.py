"""What a route admits at all: bodies up to a size, and upgraded connections or not."""

from __future__ import annotations

from edge.context import BodyReader, ProxyContext
from edge.errors import EdgeError
from edge.exchange import Exchange
from edge.middleware import ProxyMiddleware


def limit_body(max_bytes: int) -> ProxyMiddleware:
    """Make the middleware that refuses a longer body: by its declared length at once, a chunked one when it is passed.

    EdgeError `body_too_large`. Its connection ends, because the rest of the body is not read.
    """

    def check(ctx: ProxyContext) -> None:
        incoming = ctx.request.in_req
        if not incoming.body_exists:
            return
        length = incoming.content_length
        if length is None:
            assert isinstance(incoming, Exchange)
            incoming.content = BoundedReader(incoming.content, max_bytes)
        elif length > max_bytes:
            raise EdgeError("body_too_large", f"{length} bytes where {max_bytes} are allowed")

    return check


def refuse_upgrades(ctx: ProxyContext) -> None:
    """Refuse to switch protocols; the connection ends, because what follows may be in the other protocol already."""
    if ctx.request.is_upgrade:
        raise EdgeError("upgrade_not_allowed")


class BoundedReader:
    """A body's reader that raises `body_too_large` once more than so many bytes have come."""

    __slots__ = ("_left_bytes", "_reader")

    def __init__(self, reader: BodyReader, max_bytes: int) -> None:
        self._reader = reader
        self._left_bytes = max_bytes

    async def readany(self) -> bytes:
        """Give what is there of the body, b"" at the end."""
        return self._counted(await self._reader.readany())

    def is_eof(self) -> bool:
        """Say whether the whole body is here."""
        return self._reader.is_eof()

    def read_nowait(self, n: int = -1) -> bytes:
        """Give what is there without waiting."""
        return self._counted(self._reader.read_nowait(n))

    def _counted(self, data: bytes) -> bytes:
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise EdgeError("body_too_large", "a chunked body")
        return data
