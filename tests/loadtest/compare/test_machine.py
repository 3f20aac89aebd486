from __future__ import annotations

import os
import resource

import pytest

from loadtest.compare.machine import Cores, choose_cores, describe, many_files, on_core


@pytest.mark.parametrize(
    ("available", "expected"), [({0, 1}, Cores(1, 0)), ({2, 5, 7}, Cores(7, 2)), ({3}, Cores(3, 3))]
)
def test_the_measured_system_has_a_core_of_its_own_where_there_are_two(available: set[int], expected: Cores) -> None:
    assert choose_cores(available) == expected


def test_a_thread_is_on_one_core_for_a_while() -> None:
    before = os.sched_getaffinity(0)
    with on_core(max(before)):
        assert os.sched_getaffinity(0) == {max(before)}
    assert os.sched_getaffinity(0) == before


def test_files_may_be_many_for_a_while() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with many_files() as limit:
        assert limit == resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= before[0]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[0]


def test_a_machine_is_described_by_its_processor_and_what_runs_where() -> None:
    cpuinfo = "processor: 0\nmodel name\t: Sample 9000\n\nprocessor: 1\nmodel name\t: Sample 9000\n"
    text = describe(cpuinfo, Cores(1, 0))
    assert text.startswith("Sample 9000, 2 cores, Linux ")
    assert text.endswith("the measured system on core 1; load, origin and Redis on core 0")
