from __future__ import annotations

import pytest

from loadtest.compare.bars import BARS, Bar, Figure, judge, medians, verdict
from loadtest.compare.scenarios import SCENARIOS
from loadtest.compare.systems.all import SYSTEMS

OURS, THEIRS = Figure("stream", "portico", "per_s"), Figure("stream", "nginx", "per_s")
AT_MOST = Bar("cost", OURS, THEIRS, 1.0, 0.8)
AT_LEAST = Bar("rate", OURS, THEIRS, 0.4, 0.7, is_most=False)
ALONE = Bar("memory", OURS, None, 12, 8)


@pytest.mark.parametrize(
    ("bar", "value", "expected"),
    [
        (AT_MOST, 0.5, "aim met"),
        (AT_MOST, 0.8, "aim met"),
        (AT_MOST, 0.81, "must met"),
        (AT_MOST, 1.0, "must met"),
        (AT_MOST, 1.01, "MISSED"),
        (AT_LEAST, 0.9, "aim met"),
        (AT_LEAST, 0.7, "aim met"),
        (AT_LEAST, 0.69, "must met"),
        (AT_LEAST, 0.4, "must met"),
        (AT_LEAST, 0.39, "MISSED"),
        (ALONE, -1.0, "aim met"),
    ],
)
def test_a_bar_is_met_by_what_equals_it(bar: Bar, value: float, expected: str) -> None:
    assert verdict(bar, value) == expected


@pytest.mark.parametrize(("values", "expected"), [([3.0], 3.0), ([1.0, 9.0, 2.0], 2.0), ([1.0, 2.0, 4.0, 100.0], 3.0)])
def test_a_median_is_of_each_figure_by_itself(values: list[float], expected: float) -> None:
    assert medians([{"a": value, "b": -value} for value in values]) == {"a": expected, "b": -expected}


def test_no_round_has_no_medians() -> None:
    assert medians([]) == {}


def figures(rate: float, busy_percent: float, cpu_us: float) -> dict[str, float]:
    return {"per_s": rate, "busy_percent": busy_percent, "cpu_us": cpu_us}


def test_a_ratio_is_of_the_two_medians() -> None:
    found = {("stream", "portico"): figures(500, 99, 2.0), ("stream", "nginx"): figures(1000, 99, 1.0)}
    judged = judge(AT_LEAST, found, {})
    assert (judged.value, judged.verdict, judged.missing, judged.caveat) == (0.5, "must met", "", "")


def test_a_rate_that_the_load_bounds_says_so_and_what_it_is_by_cpu_time() -> None:
    found = {("stream", "portico"): figures(900, 99, 2.0), ("stream", "nginx"): figures(1000, 50, 1.0)}
    assert judge(AT_LEAST, found, {}).caveat == "bound by the load: nginx 50 % busy; by CPU time 0.50"


def test_a_figure_without_a_second_is_held_as_it_is() -> None:
    assert judge(ALONE, {("stream", "portico"): {"per_s": 9.0, "busy_percent": 99.0}}, {}).value == 9.0


@pytest.mark.parametrize("missing", ["portico", "nginx"])
def test_a_bar_that_lacks_a_figure_is_not_measured_and_says_why(missing: str) -> None:
    found = {("stream", name): figures(1, 99, 1) for name in ("portico", "nginx") if name != missing}
    judged = judge(AT_MOST, found, {("stream", missing): f"no {missing} here"})
    assert (judged.value, judged.verdict, judged.missing) == (None, "not measured", f"no {missing} here")


def test_every_bar_asks_for_what_some_system_does() -> None:
    asked = [figure for bar in BARS for figure in (bar.over, bar.under) if figure is not None]
    assert not [each for each in asked if each.scenario not in SYSTEMS[each.system].does]
    assert {name for system in SYSTEMS.values() for name in system.does} == set(SCENARIOS)
