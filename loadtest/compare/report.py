"""A run as text, Markdown or JSON. Pure: what is shown was measured, or is said not to have been."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from loadtest.compare.bars import BARS, Judged, judge, medians
from loadtest.compare.rounds import Cell
from loadtest.compare.scenarios import Scenario

Table = list[list[str]]


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended. `versions` of each system by name; `absent` are those that were looked for in vain.

    `bystanders` is how many cores others kept busy meanwhile.
    """

    date: str
    machine: str
    interpreter: str
    bystanders: float
    rounds: int
    seconds: float
    versions: Mapping[str, str]
    absent: Sequence[str]
    cells: Sequence[Cell]

    def judged(self) -> list[Judged]:
        """Hold every bar against the run."""
        found = {(cell.scenario.name, cell.system.name): medians(cell.samples) for cell in self.cells}
        why = {pair: self._why_missing(*pair) for bar in BARS for pair in _pairs(bar.over, bar.under)}
        return [judge(bar, found, why) for bar in BARS]

    def _why_missing(self, scenario: str, system: str) -> str:
        if system in self.absent:
            return f"no {system} here"
        faults = [fault for cell in self.cells for fault in cell.faults if _is(cell, scenario, system)]
        return faults[-1] if faults else f"{scenario} of {system} was not asked for"


def _is(cell: Cell, scenario: str, system: str) -> bool:
    return cell.scenario.name == scenario and cell.system.name == system


def _pairs(*figures: object) -> Iterator[tuple[str, str]]:
    for figure in figures:
        if figure is not None:
            yield figure.scenario, figure.system  # type: ignore[attr-defined]


def format_figure(value: float) -> str:
    """Write a number with about three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _spread(cell: Cell, measure: str) -> str:
    values = [sample[measure] for sample in cell.samples]
    middle = format_figure(medians(cell.samples)[measure])
    if len(values) < 2:
        return middle
    return f"{middle} ({format_figure(min(values))}-{format_figure(max(values))})"


def scenario_table(cells: Sequence[Cell], scenario: Scenario) -> Table:
    """Make the table of one scenario: a head, then a row for each system; the first figure with its range."""
    columns = scenario.columns
    rows = [["system", *(title.format(unit=scenario.unit) for _, title in columns)]]
    for cell in cells:
        if cell.samples:
            middle = medians(cell.samples)
            first = _spread(cell, columns[0][0])
            rows.append([cell.system.name, first, *(format_figure(middle[measure]) for measure, _ in columns[1:])])
        else:
            rows.append([cell.system.name, *("-" for _ in columns)])
    return rows


def bars_table(judged: Sequence[Judged]) -> Table:
    """Make the table of the bars."""
    rows = [["bar", "measured", "must", "aim", "verdict"]]
    for each in judged:
        sign, unit = ("≤" if each.bar.is_most else "≥"), each.bar.unit
        value = "-" if each.value is None else format_figure(each.value) + unit
        word = ": ".join(filter(None, (each.verdict, each.missing or each.caveat)))
        rows.append([each.bar.what, value, f"{sign} {each.bar.must:g}{unit}", f"{sign} {each.bar.aim:g}{unit}", word])
    return rows


def _notes(run: Run) -> list[str]:
    notes = [f"{name}: not here, skipped" for name in run.absent]
    for cell in run.cells:
        for fault in dict.fromkeys(cell.faults):
            times = cell.faults.count(fault)
            notes.append(
                f"{cell.scenario.name}, {cell.system.name}: {fault}" + (f" ({times} times)" if times > 1 else "")
            )
    return notes


def _scenarios(run: Run) -> dict[str, tuple[Scenario, list[Cell]]]:
    groups: dict[str, tuple[Scenario, list[Cell]]] = {}
    for cell in run.cells:
        groups.setdefault(cell.scenario.name, (cell.scenario, []))[1].append(cell)
    return groups


def _head(run: Run) -> list[str]:
    return [
        run.date,
        run.machine,
        run.interpreter,
        "; ".join(f"{name} {version}" for name, version in run.versions.items()),
        f"medians of {run.rounds} interleaved rounds of {run.seconds:g} s; in brackets the lowest and the highest",
        f"others kept {run.bystanders:.2f} cores of this machine busy meanwhile",
    ]


def as_text(run: Run) -> str:
    """Write a run for a terminal."""
    blocks = ["\n".join(_head(run))]
    for scenario, cells in _scenarios(run).values():
        blocks.append(f"{scenario.name}: {scenario.what}\n{_aligned(scenario_table(cells, scenario))}")
    blocks.append(_aligned(bars_table(run.judged())))
    return "\n\n".join([*blocks, *(["\n".join(_notes(run))] if _notes(run) else [])])


def as_markdown(run: Run) -> str:
    """Write a run as a document."""
    blocks = ["# Portico beside others", "Written by `python -m loadtest compare --write-results`; not by hand."]
    blocks.append("\n".join(f"* {line}" for line in _head(run)))
    blocks += ["## Bars", _piped(bars_table(run.judged()))]
    for scenario, cells in _scenarios(run).values():
        blocks += [f"## {scenario.name}: {scenario.what}", _piped(scenario_table(cells, scenario))]
    if notes := _notes(run):
        blocks += ["## What was skipped or failed", "\n".join(f"* {note}" for note in notes)]
    return "\n\n".join(blocks)


def as_json(run: Run) -> str:
    """Write a run with the figures of every round."""
    results = [
        {
            "scenario": cell.scenario.name,
            "system": cell.system.name,
            "unit": cell.scenario.unit,
            "median": medians(cell.samples),
            "rounds": cell.samples,
            "faults": cell.faults,
        }
        for cell in run.cells
    ]
    bars = [
        {
            "bar": each.bar.what,
            "value": each.value,
            "must": each.bar.must,
            "aim": each.bar.aim,
            "verdict": each.verdict,
            "because": each.missing or each.caveat,
        }
        for each in run.judged()
    ]
    machine = {"machine": run.machine, "interpreter": run.interpreter, "bystanders": run.bystanders}
    about = {"date": run.date, **machine, "versions": dict(run.versions), "absent": list(run.absent)}
    return json.dumps({**about, "results": results, "bars": bars}, indent=2)


def _aligned(table: Table) -> str:
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    last = len(widths) - 1
    return "\n".join(
        "  ".join(
            text.ljust(width) if at == 0 or (at == last and not _is_figure(text)) else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def _is_figure(text: str) -> bool:
    return text[:1].isdigit() or text == "-"


def _piped(table: Table) -> str:
    marks = ["|" + "|".join(["---", *("---:" for _ in table[0][1:])]) + "|"]
    rows = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([rows[0], *marks, *rows[1:]])
