from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from loadtest.compare.accounting import PAGE_BYTES, TICKS_PER_S, Bystanders, Stat, busy_s, cost_now, cost_of, parse_stat

REST = "S {parent} 1 1 0 -1 4194560 9 8 7 6 {user} {system} {children} 20 0 1 0 5 1000 {pages} 1844"


def line(name: str, **numbers: object) -> str:
    known = {"parent": 1, "user": 10, "system": 5, "children": "3 2", "pages": 40}
    return f"77 ({name}) {REST.format(**known | numbers)}"


@pytest.mark.parametrize("name", ["nginx", "a b", "a) S 9", "(", ""])
def test_a_process_is_read_whatever_its_name(name: str) -> None:
    assert parse_stat(line(name)) == Stat(77, 1, 10 + 5 + 3 + 2, 40)


TREE = [Stat(1, 0, 1000, 1), Stat(5, 1, 100, 10), Stat(6, 5, 20, 20), Stat(7, 6, 3, 30), Stat(8, 1, 5000, 40)]


@pytest.mark.parametrize(("root", "ticks", "pages"), [(5, 123, 60), (6, 23, 50), (7, 3, 30), (8, 5000, 40)])
def test_descendants_count_and_others_do_not(root: int, ticks: int, pages: int) -> None:
    cost = cost_of(TREE, root)
    assert cost.cpu_s == pytest.approx(ticks / TICKS_PER_S)
    assert cost.resident_bytes == pages * PAGE_BYTES


def test_a_process_that_has_ended_is_said_to_have() -> None:
    with pytest.raises(ProcessLookupError):
        cost_of(TREE, 9)


def test_the_work_of_a_child_that_has_ended_still_counts() -> None:
    before = cost_now(os.getpid())
    working = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", working], check=True)
    after = cost_now(os.getpid())
    assert after.cpu_s - before.cpu_s > 0.25  # it is counted in hundredths
    assert after.resident_bytes > PAGE_BYTES


def test_a_machine_is_busy_with_all_but_idling_and_waiting_for_disks() -> None:
    assert busy_s("cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9") == pytest.approx(
        (1 + 2 + 4 + 8 + 16 + 32) / TICKS_PER_S
    )


def test_bystanders_keep_no_more_cores_busy_than_there_are() -> None:
    bystanders = Bystanders()
    until_s = time.monotonic() + 0.3  # it is counted in hundredths
    while time.monotonic() < until_s:
        pass
    assert 0 <= bystanders.cores() <= (os.cpu_count() or 1) + 1
