"""The generic cell rate algorithm, exact and pure: what lua/gcra.lua does in Redis, done in Python.

It keeps one number per limit and caller: the theoretical arrival time, when the caller would be at rest
again. Each take moves it one step (period / count) into the future; it may never be ahead of now by more
than the slack (burst steps). So at most burst + rate x window takes are admitted in any window.

A step is rarely a whole number of microseconds, so times are pairs: whole microseconds, and a part of one
microsecond in `parts`-ths. All of it is integer arithmetic: nothing drifts, however long it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

US_PER_S = 1_000_000
MAX_EXACT = 2**53  # a Lua number is a double
Ahead = tuple[int, int]
"""How far an arrival time is ahead of now: whole microseconds, and parts of one."""
Arrival = tuple[int, int, int]
"""A kept arrival time: whole microseconds, part, and the parts it counts in."""


@dataclass(frozen=True, slots=True)
class Pace:
    """A limit made ready: the step of one take, the slack, and the parts of a microsecond both count in."""

    step: Ahead
    slack: Ahead
    parts: int
    unit: int
    """The step of a take of cost 1, in parts."""
    arguments: tuple[bytes, ...]
    """The five arguments of lua/gcra.lua."""


@lru_cache(maxsize=8192)
def pace(count: int, period_s: float, burst: int, cost: int = 1, workers: int = 1) -> Pace:
    """Return the pace of `count` per `period_s` with `burst`, for takes that cost `cost`.

    `workers`: one worker's share of it, when each counts for itself. Raises ValueError for what no take
    could ever satisfy or what Lua could not count exactly (a slack of decades).
    """
    period_us = round(period_s * US_PER_S)
    if count < 1 or burst < 1 or period_us < 1 or not 1 <= cost <= burst:
        raise ValueError("count, burst and cost are 1 or more, cost is at most burst, period_s at least 1 µs")
    period_us, burst = period_us * workers, max(cost, burst // workers)
    common = gcd(period_us, count)
    unit, parts = period_us // common, count // common
    step, slack = divmod(unit * cost, parts), divmod(unit * burst, parts)
    if workers == 1 and max(slack[0], parts) >= MAX_EXACT // 8:
        raise ValueError("the limit is too large to be counted exactly")
    arguments = tuple(b"%d" % number for number in (*step, *slack, parts))
    return Pace(step, slack, parts, unit, arguments)


def ahead_of(arrival: Arrival | None, now_us: int, of: Pace) -> Ahead:
    """Return how far a kept arrival time is ahead of now: never less than nothing, never more than the slack."""
    if arrival is None:
        return (0, 0)
    us, part, parts = arrival
    if parts != of.parts:  # the limit was edited: round up, never in the caller's favour
        us, part = us + (part > 0), 0
    if us < now_us:
        return (0, 0)
    return min((us - now_us, part), of.slack)


def stepped(ahead: Ahead, of: Pace) -> Ahead:
    """Return how far ahead one more take would be."""
    us, part = ahead[0] + of.step[0], ahead[1] + of.step[1]
    return (us + 1, part - of.parts) if part >= of.parts else (us, part)


def is_admitted(ahead: Ahead, of: Pace) -> bool:
    """Whether one more take stays within the slack."""
    return stepped(ahead, of) <= of.slack


def remaining(ahead: Ahead, of: Pace) -> int:
    """Return how many takes of cost 1 could follow at once."""
    free_us, free_part = of.slack[0] - ahead[0], of.slack[1] - ahead[1]
    return (free_us * of.parts + free_part) // of.unit


def wait_us(ahead: Ahead, of: Pace) -> int:
    """Return in how many µs, rounded up, one more take would be admitted; 0: now."""
    us, part = stepped(ahead, of)
    over_us, over_part = us - of.slack[0], part - of.slack[1]
    return max(0, over_us + (over_part > 0))


def take_all(
    arrivals: Sequence[Arrival | None], paces: Sequence[Pace], now_us: int
) -> tuple[bool, list[Ahead], list[Arrival]]:
    """Take one step of every limit, or of none.

    Returns whether all admit, how far each was ahead before, and the arrival times to keep (empty when
    refused).
    """
    ahead = [ahead_of(arrival, now_us, of) for arrival, of in zip(arrivals, paces, strict=True)]
    if not all(is_admitted(each, of) for each, of in zip(ahead, paces, strict=True)):
        return False, ahead, []
    kept = []
    for each, of in zip(ahead, paces, strict=True):
        us, part = stepped(each, of)
        kept.append((now_us + us, part, of.parts))
    return True, ahead, kept
