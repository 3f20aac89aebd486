"""What Portico promises beside others, and whether a run kept it. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["aim met", "must met", "MISSED", "not measured"]
Medians = Mapping[tuple[str, str], Mapping[str, float]]
BUSY_PERCENT = 90.0  # below that a system could do more than the load asks of it


@dataclass(frozen=True, slots=True)
class Figure:
    """A median of the run: which scenario, which system, which figure of it."""

    scenario: str
    system: str
    measure: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise: `over` divided by `under` (or as it is), at most or at least `must`, better `aim`."""

    what: str
    over: Figure
    under: Figure | None
    must: float
    aim: float
    is_most: bool = True
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A bar and how the run stands to it; without a value `missing` says what there was none of.

    `caveat` names a system whose rate is the load's and not its own.
    """

    bar: Bar
    value: float | None
    verdict: Verdict
    missing: str = ""
    caveat: str = ""


def _cpu(scenario: str, system: str = "portico") -> Figure:
    return Figure(scenario, system, "cpu_us")


def _rate(scenario: str, system: str = "portico") -> Figure:
    return Figure(scenario, system, "per_s")


BARS = (
    Bar("CPU: Portico full ÷ Envoy forward", _cpu("full"), _cpu("forward", "envoy"), 1.0, 0.8),
    Bar("CPU: Portico full ÷ nginx+Lua+Redis full", _cpu("full"), _cpu("full", "nginx+lua"), 1.6, 1.25),
    Bar("CPU: Portico forward ÷ Envoy forward", _cpu("forward"), _cpu("forward", "envoy"), 0.75, 0.65),
    Bar("CPU: aiorp forward ÷ Portico forward", _cpu("forward", "aiorp"), _cpu("forward"), 3.5, 4.5, is_most=False),
    Bar("CPU: Portico full, 100,000 ÷ 100 tenants", _cpu("full-100k"), _cpu("full-100"), 1.1, 1.03),
    Bar("added p99 at 70 % of its own rate", Figure("latency", "portico", "added_ms"), None, 3, 1, unit=" ms"),
    Bar("stream: Portico ÷ nginx, bytes/s", _rate("stream"), _rate("stream", "nginx"), 0.4, 0.7, is_most=False),
    Bar(
        "WebSocket: Portico ÷ nginx, messages/s",
        _rate("websocket"),
        _rate("websocket", "nginx"),
        0.4,
        0.7,
        is_most=False,
    ),
    Bar("memory of an idle connection", Figure("idle", "portico", "each_kib"), None, 12, 8, unit=" KiB"),
)


def medians(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Take the median of each figure; none without a sample."""
    names = samples[0] if samples else ()
    return {name: statistics.median(sample[name] for sample in samples) for name in names}


def judge(bar: Bar, found: Medians, why_missing: Mapping[tuple[str, str], str]) -> Judged:
    """Hold a bar against the medians of a run; `why_missing` explains pairs of scenario and system without any."""
    values = []
    for figure in (bar.over, bar.under):
        if figure is None:
            continue
        pair = figure.scenario, figure.system
        value = found.get(pair, {}).get(figure.measure)
        if value is None:
            return Judged(bar, None, "not measured", why_missing.get(pair, f"no {figure.scenario} of {figure.system}"))
        values.append(value)
    if len(values) == 2 and values[1] <= 0:
        return Judged(bar, None, "not measured", "nothing to divide by")
    value = values[0] / values[1] if len(values) == 2 else values[0]
    return Judged(bar, value, verdict(bar, value), caveat=_caveat(bar, found))


def _caveat(bar: Bar, found: Medians) -> str:
    rates = [figure for figure in (bar.over, bar.under) if figure is not None and figure.measure == "per_s"]
    busy = {figure.system: found[figure.scenario, figure.system].get("busy_percent", 100.0) for figure in rates}
    spare = [f"{system} {percent:.0f} % busy" for system, percent in busy.items() if percent < BUSY_PERCENT]
    if not spare or bar.under is None:
        return ""
    over, under = (found[each.scenario, each.system]["cpu_us"] for each in (bar.over, bar.under))
    return f"bound by the load: {', '.join(spare)}; by CPU time {under / over:.2f}"


def verdict(bar: Bar, value: float) -> Verdict:
    """Say how a value stands to a bar; a bar is met by what equals it."""
    sign = 1 if bar.is_most else -1
    if sign * value <= sign * bar.aim:
        return "aim met"
    return "must met" if sign * value <= sign * bar.must else "MISSED"
