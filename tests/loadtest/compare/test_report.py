from __future__ import annotations

import json

import pytest

from loadtest.compare.drives import Sample
from loadtest.compare.report import Run, as_json, as_markdown, as_text, format_figure
from loadtest.compare.rounds import Cell
from loadtest.compare.scenarios import SCENARIOS
from loadtest.compare.systems.all import SYSTEMS


def sample(cpu_us: float) -> Sample:
    return {"cpu_us": cpu_us, "per_s": 20_000.0, "busy_percent": 98.0, "p50_ms": 1.5, "p99_ms": 4.0, "memory_mib": 30.0}


def run(*cells: Cell, absent: tuple[str, ...] = ()) -> Run:
    about = {"date": "2026-01-01 00:00 UTC", "machine": "Sample 9000", "interpreter": "Python 3", "bystanders": 0.25}
    versions = {"portico": "0.1.0", "envoy": "1.40.0"}
    return Run(**about, rounds=3, seconds=4, versions=versions, absent=absent, cells=cells)  # type: ignore[arg-type]


def cell(system: str, *cpu_us: float, faults: tuple[str, ...] = ()) -> Cell:
    return Cell(SCENARIOS["forward"], SYSTEMS[system], [sample(each) for each in cpu_us], list(faults))


BOTH = run(cell("envoy", 60.0, 40.0, 50.0), cell("portico", 30.0, 36.0, 35.0))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0.00"),
        (0.456, "0.46"),
        (9.994, "9.99"),
        (35.04, "35.0"),
        (99.94, "99.9"),
        (12345.6, "12,346"),
        (-3.0, "-3.00"),
    ],
)
def test_a_figure_has_the_digits_that_mean_something(value: float, expected: str) -> None:
    assert format_figure(value) == expected


def test_the_text_has_the_medians_their_range_and_the_verdicts() -> None:
    lines = as_text(BOTH).splitlines()
    assert "Sample 9000" in lines
    assert "others kept 0.25 cores of this machine busy meanwhile" in lines
    [envoy] = [line.split() for line in lines if line.startswith("envoy ") and "1.40" not in line]
    assert envoy == ["envoy", "50.0", "(40.0-60.0)", "20,000", "98.0", "1.50", "4.00", "30.0"]
    [bar] = [line for line in lines if line.startswith("CPU: Portico forward ÷ Envoy forward")]
    assert bar.split()[-7:] == ["0.70", "≤", "0.75", "≤", "0.65", "must", "met"]


def test_a_missing_peer_is_named_and_its_bars_are_not_measured() -> None:
    text = as_text(run(cell("portico", 35.0), absent=("envoy",)))
    assert "envoy: not here, skipped" in text
    [bar] = [line for line in text.splitlines() if line.startswith("CPU: Portico forward ÷ Envoy forward")]
    assert bar.endswith("not measured: no envoy here")


def test_a_round_that_failed_is_told_with_its_reason() -> None:
    text = as_text(run(cell("envoy", faults=("it broke", "it broke")), cell("portico", 35.0)))
    assert "forward, envoy: it broke (2 times)" in text
    assert "not measured: it broke" in text


def test_markdown_has_the_same_tables_with_a_mark_for_each_column() -> None:
    text = as_markdown(BOTH)
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 2
    assert all(len({row.count("|") for row in table}) == 1 for table in tables)
    assert "| envoy | 50.0 (40.0-60.0) | 20,000 | 98.0 | 1.50 | 4.00 | 30.0 |" in text
    assert "| CPU: Portico forward ÷ Envoy forward | 0.70 | ≤ 0.75 | ≤ 0.65 | must met |" in text


def test_json_has_every_round() -> None:
    found = json.loads(as_json(BOTH))
    assert [[each["cpu_us"] for each in result["rounds"]] for result in found["results"]] == [
        [60, 40, 50],
        [30, 36, 35],
    ]
    [bar] = [bar for bar in found["bars"] if bar["bar"] == "CPU: Portico forward ÷ Envoy forward"]
    assert (bar["value"], bar["verdict"]) == (0.7, "must met")
    assert found["machine"] == "Sample 9000"
