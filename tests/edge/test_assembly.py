from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from edge.assembly import affordable


@pytest.fixture
def thousand_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("thousand_files")
@pytest.mark.parametrize(("wanted", "given"), [(100, 100), (600, 600), (601, 600), (10_000, 600)])
def test_a_worker_takes_no_more_connections_than_its_open_files_are_enough_for(
    wanted: int, given: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert affordable(wanted) == given
    assert bool(caplog.records) == (wanted > given)
