"""What several tests of the edge use: an authority of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.tls import Authority


@pytest.fixture(scope="module")
def ours() -> Authority:
    """An authority that nobody trusts yet."""
    return Authority()


@pytest.fixture
def trust(ours: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the edge in this process trust it, and nobody else."""
    with ours.trusted(tmp_path, monkeypatch):
        yield
