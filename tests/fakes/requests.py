"""A received request without a connection, for what is decided by its head alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from multidict import CIMultiDict, CIMultiDictProxy


class Pieces:
    """A request's body that arrives in the given pieces; an exception among them is raised in its place."""

    def __init__(self, pieces: Iterable[bytes | Exception] = ()) -> None:
        self._pieces = list(pieces)

    async def readany(self) -> bytes:
        """Give the next piece, b"" at the end."""
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    def is_eof(self) -> bool:
        """Say whether nothing more will arrive."""
        return not self._pieces

    def read_nowait(self, n: int = -1) -> bytes:
        """Give what is there, all of it."""
        pieces, self._pieces = self._pieces, []
        return b"".join(piece for piece in pieces if isinstance(piece, bytes))


@dataclass(frozen=True)
class FakeIncoming:
    """Satisfies `edge.context.Incoming`."""

    method: str
    raw_path: str
    headers: CIMultiDictProxy[str]
    content: Pieces
    version: tuple[int, int] = (1, 1)
    remote: str | None = "192.0.2.1"
    scheme: str = "http"
    body_exists: bool = False
    content_length: int | None = None

    @property
    def host(self) -> str:
        """Give the field `Host`."""
        return self.headers.get("Host", "")


def incoming(
    method: str = "GET",
    raw_path: str = "/",
    headers: Iterable[tuple[str, str]] = (("Host", "shop.acme.com"),),
    body: Iterable[bytes | Exception] | None = None,
    version: tuple[int, int] = (1, 1),
) -> FakeIncoming:
    """Make a request as it would have been received, its body in pieces of unannounced length."""
    return FakeIncoming(
        method,
        raw_path,
        CIMultiDictProxy(CIMultiDict(headers)),
        Pieces(body or ()),
        version,
        body_exists=body is not None,
    )


class EmptyBody:
    """An answer's body that notes whether it was given up."""

    known_length: int | None = None
    is_aborted = False

    def whole(self) -> bytes | None:
        """Have nothing here yet."""
        return None

    async def read(self) -> bytes:
        """Be at the end."""
        return b""

    def abort(self) -> None:
        """Note it."""
        self.is_aborted = True

    async def release(self) -> None:
        """Note it."""
        self.is_aborted = True
