from __future__ import annotations

import pytest

from loadtest.__main__ import MEASUREMENTS, main
from loadtest.propagation import Scale, is_within_bars, measure, percentile, report


@pytest.mark.parametrize(
    ("share", "expected"), [(0, 1.0), (1, 1.0), (50, 5.0), (90, 9.0), (91, 10.0), (99, 10.0), (100, 10.0)]
)
def test_a_percentile_is_a_measured_value_that_so_many_do_not_exceed(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(1, 11)], share) == expected


def test_the_report_has_the_figures_and_every_value_in_one_bucket() -> None:
    text = report([1.5, 2.0, 2.5, 30.0], Scale(4, 10, 2))
    assert "median 2.00 ms (bar 5), p90 30.00, p99 30.00 (bar 25), max 30.00" in text
    assert [line.split()[4] for line in text.splitlines()[3:] if "#" in line] == ["1", "2", "1"]


def test_both_bars_must_be_kept() -> None:
    assert is_within_bars([5.0] * 99 + [25.0])
    assert not is_within_bars([5.1] * 100)
    assert not is_within_bars([1.0] * 98 + [26.0] * 2)


async def test_changes_are_measured_by_requests_through_every_worker() -> None:
    times_ms = await measure(Scale(changes=5, tenants=3, workers=2))
    assert len(times_ms) == 5
    assert all(0 < time_ms < 5000 for time_ms in times_ms)


def test_an_unknown_measurement_is_status_2_and_the_known_ones_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["nonsense"]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in MEASUREMENTS)
