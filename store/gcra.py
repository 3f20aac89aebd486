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


def stepped(ahead: Ahead, of: Pace, units: int = 1) -> Ahead:
    """Return how far ahead one more take would be, or so many."""
    more_us, part = divmod(ahead[1] + of.step[1] * units, of.parts)
    return ahead[0] + of.step[0] * units + more_us, part


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
    arrivals: Sequence[Arrival | None], paces: Sequence[Pace], now_us: int, wanted: int = 1, life_us: int = 0
) -> tuple[int, list[Ahead], list[Arrival]]:
    """Take up to `wanted` units of every limit, of all the same number, or none.

    Returns how many, how far each was ahead before, and the arrival times to keep (empty when refused). One unit is
    spent at once. More may be spent within `life_us`, and count as if they were spent at its end: so in no window more
    is spent than burst + rate x window.
    """
    ahead = [ahead_of(arrival, now_us, of) for arrival, of in zip(arrivals, paces, strict=True)]
    granted = min((most(later(each, life_us), of, wanted) for each, of in zip(ahead, paces, strict=True)), default=0)
    bases = [later(each, life_us) for each in ahead]
    if wanted < 2 or granted < 2:
        granted, bases = int(all(is_admitted(each, of) for each, of in zip(ahead, paces, strict=True))), ahead
    if not granted:
        return 0, ahead, []
    return granted, ahead, [kept_at(base, of, granted, now_us) for base, of in zip(bases, paces, strict=True)]


def later(ahead: Ahead, life_us: int) -> Ahead:
    """Return from where units count that may be spent within `life_us`."""
    return ahead if ahead[0] >= life_us else (life_us, 0)


def most(ahead: Ahead, of: Pace, wanted: int) -> int:
    """Return how many units can follow at once, `wanted` at most."""
    free_us, free_part = of.slack[0] - ahead[0], of.slack[1] - ahead[1]
    step_parts = of.step[0] * of.parts + of.step[1]
    return max(0, min(wanted, (free_us * of.parts + free_part) // step_parts))


def kept_at(base: Ahead, of: Pace, units: int, now_us: int) -> Arrival:
    """Return the arrival time to keep after so many units from a base."""
    us, part = stepped(base, of, units)
    return now_us + us, part, of.parts
