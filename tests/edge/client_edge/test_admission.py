from __future__ import annotations

import pytest

from edge.client_edge.admission import BoundedReader
from edge.errors import EdgeError


class Pieces:
    """A body's reader that gives these pieces one after the other."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = list(pieces)

    async def readany(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def is_eof(self) -> bool:
        return not self._pieces

    def read_nowait(self, n: int = -1) -> bytes:
        data, self._pieces = b"".join(self._pieces), []
        return data


async def test_a_body_of_exactly_the_bound_is_read_to_its_end() -> None:
    reader = BoundedReader(Pieces(b"12345", b"67890"), 10)
    assert [await reader.readany() for _ in range(3)] == [b"12345", b"67890", b""]


async def test_the_first_byte_beyond_the_bound_is_too_many() -> None:
    reader = BoundedReader(Pieces(b"12345", b"67890", b"1"), 10)
    await reader.readany()
    await reader.readany()
    with pytest.raises(EdgeError) as caught:
        await reader.readany()
    assert (caught.value.status, caught.value.code, caught.value.must_close) == (413, "body_too_large", True)


def test_reading_without_waiting_counts_as_well() -> None:
    with pytest.raises(EdgeError):
        BoundedReader(Pieces(b"12345", b"678901"), 10).read_nowait()
