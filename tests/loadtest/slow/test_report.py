"""The table of slow clients: what is not as promised is named, and a run that has it fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.slow.bystander import Seen
from loadtest.slow.command import affordable, main
from loadtest.slow.kinds import Kind, Scale
from loadtest.slow.report import Bombs, Found, bomb_faults, faults, report

SEEN = Seen(asked=1000, failed=0, p50_ms=1.0, p99_ms=2.0, most_ms=3.0)
KIND = Kind("T55", "bodies that drip", 5000, "408", 10.0, bar_kib=120)
FINE = Found(KIND, 16.9, {"408": 5000}, 10.0, 10.3, SEEN, replace(SEEN, p99_ms=4.0), 0)
BOMBS = Bombs(4, 10_400_000, 10 << 30, 4, 100.0, SEEN, SEEN)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (FINE, []),
        (replace(FINE, ends={"408": 4999, "still open": 1}), ["ended otherwise"]),
        (replace(FINE, ends={"closed": 5000}), ["ended otherwise"]),
        (replace(FINE, first_s=8.9), ["not in time"]),
        (replace(FINE, last_s=11.1), ["not in time"]),
        (replace(FINE, each_kib=120.1), ["memory"]),
        (replace(FINE, beside=replace(SEEN, failed=1)), ["the bystander"]),
        (replace(FINE, left=1), ["targets' connections are left"]),
    ],
)
def test_what_is_not_as_promised_is_named(found: Found, said: list[str]) -> None:
    assert faults(found) == said


def test_a_kind_without_a_bar_may_hold_what_it_holds() -> None:
    assert not faults(replace(FINE, kind=replace(KIND, bar_kib=None), each_kib=500.0))


def test_bodies_that_changed_grew_or_kept_others_waiting_are_named() -> None:
    assert not bomb_faults(BOMBS)
    bad = replace(BOMBS, identical=3, grown_kib=1025.0, beside=replace(SEEN, failed=1))
    assert bomb_faults(bad) == ["not the same", "memory", "the bystander"]


def test_the_table_has_a_line_for_each_kind() -> None:
    text = report([FINE, replace(FINE, each_kib=121.0)], BOMBS, Scale(), 20_000)
    assert text.startswith("# Slow clients\n")
    assert "| T55 | bodies that drip | 5,000 | 16.9 | ≤ 120 | 5,000 408 | 10.0-10.3 (due 10, at most 11) |" in text
    assert "| 2.0, 4.0 | 1,000 of 1,000 | holds |" in text
    assert "| MISSED: memory |" in text
    assert "4 came back as they were; resident memory +100 KiB (bar 1024)" in text
    assert "20,000 open files" in text


@pytest.mark.parametrize(("wanted", "open_files", "count"), [(5000, 20_000, 5000), (5000, 4500, 2000)])
def test_there_are_as_many_clients_as_the_open_files_allow(wanted: int, open_files: int, count: int) -> None:
    assert affordable(wanted, open_files) == count


@pytest.mark.parametrize(
    "arguments", [["--many", "0"], ["--deadline", "0"], ["--only", "T1"], ["--only", "T54", "--write-results"]]
)
def test_figures_that_do_not_go_together_are_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
