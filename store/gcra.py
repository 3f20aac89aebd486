"""The generic cell rate algorithm, exact and pure: what lua/take.lua does in Redis, done in Python.

It keeps one number per limit and caller: the theoretical arrival time, when the caller would be at rest
again. Each take moves it one step (period / count) into the future; it may never be ahead of now by more
than the slack (burst steps). So at most burst + rate x window takes are admitted in any window.

A step is rarely a whole number of microseconds, so times are pairs: whole microseconds, and a part of one
microsecond in `parts`-ths. All of it is integer arithmetic: nothing drifts, however long it runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import gcd

from store.meter import LONGEST_LIFE_S, MAX_EXACT, MAX_UNITS, SHARE, US_PER_S, Kept, Meter

Ahead = tuple[int, int]
"""How far an arrival time is ahead of now: whole microseconds, and parts of one."""
Arrival = Kept
"""A kept arrival time: whole microseconds, part, and the parts it counts in."""
MAX_PARTS = 2**40  # so that as many units as that stay exact in Lua
DEBT_US = 5 * US_PER_S
"""How far beyond the slack an arrival time may be: what was spent without Redis is owed (lua/charge.lua)."""


@dataclass(frozen=True)
class Pace:
    """A limit made ready: the step of one take, the slack, and the parts of a microsecond both count in."""

    step: Ahead
    slack: Ahead
    parts: int
    unit: int
    """The step of a take of cost 1, in parts."""

    @cached_property
    def arguments(self) -> tuple[bytes, ...]:
        """Step, slack and parts, as lua/take.lua takes them."""
        return tuple(b"%d" % number for number in (*self.step, *self.slack, self.parts))

    @cached_property
    def most_ahead(self) -> int:
        """A part of the burst; one where more could not be counted exactly."""
        share_us = (self.slack[0] + self.slack[1] / self.parts) / SHARE
        step_us = self.step[0] + self.step[1] / self.parts
        return max(1, min(MAX_UNITS, int(share_us / step_us))) if self.parts < MAX_PARTS else 1

    @cached_property
    def most_at_once(self) -> int:
        """As many as Lua can count exactly."""
        return MAX_UNITS if self.parts < MAX_PARTS else 1

    @cached_property
    def life_s(self) -> float:
        """As long as that part of the burst takes to come back."""
        return min(LONGEST_LIFE_S, (self.slack[0] + self.slack[1] / self.parts) / SHARE / US_PER_S)

    def stepped(self, state: Ahead, units: int = 1) -> Ahead:
        """Return how far ahead one more take would be, or so many."""
        more_us, part = divmod(state[1] + self.step[1] * units, self.parts)
        return state[0] + self.step[0] * units + more_us, part

    def passed(self, state: Ahead, us: int) -> Ahead:
        """Return how far ahead it is when so much time has passed."""
        return (state[0] - us, state[1]) if state[0] >= us else (0, 0)

    def later(self, state: Ahead, life_us: int) -> Ahead:
        """Return from where units count that may be spent within `life_us`."""
        return state if state[0] >= life_us else (life_us, 0)

    def most(self, state: Ahead, wanted: int, life_us: int) -> int:
        """Return how many units can follow at once, `wanted` at most, counted from the end of their life."""
        free = self._free(self.later(state, life_us))
        return max(0, min(wanted, free // (self.step[0] * self.parts + self.step[1])))

    def is_admitted(self, state: Ahead) -> bool:
        """Whether one more take stays within the slack."""
        return self.stepped(state) <= self.slack

    def remaining(self, state: Ahead) -> int:
        """Return how many takes of cost 1 could follow at once."""
        return max(0, self._free(state) // self.unit)

    def owed(self, state: Ahead) -> int:
        """Return how many takes of cost 1, rounded up, it is beyond its slack: what was spent without Redis."""
        return max(0, -(self._free(state) // self.unit))

    def wait_us(self, state: Ahead) -> int:
        """Return in how many µs, rounded up, one more take would be admitted; 0: now."""
        us, part = self.stepped(state)
        over_us, over_part = us - self.slack[0], part - self.slack[1]
        return max(0, over_us + (over_part > 0))

    def reset_us(self, state: Ahead) -> int:
        """Return in how many µs it is at rest."""
        return state[0]

    def with_left(self, left: int, now_us: int) -> Ahead:  # noqa: ARG002 - the time is nothing to it
        """Return how far ahead it is with so many takes of cost 1 left."""
        slack = self.slack[0] * self.parts + self.slack[1]
        return divmod(max(0, slack - left * self.unit), self.parts)

    def read(self, kept: Arrival | None, now_us: int) -> Ahead:
        """Return how far a kept arrival time is ahead of now: nothing at least; the slack, if more than can be owed."""
        if kept is None:
            return (0, 0)
        us, part, parts = kept
        if parts != self.parts:  # the limit was edited: round up, never in the caller's favour
            us, part = us + (part > 0), 0
        if us < now_us:
            return (0, 0)
        ahead = (us - now_us, part)
        return ahead if ahead <= (self.slack[0] + DEBT_US, self.slack[1]) else self.slack

    def cut(self, kept: Arrival | None, now_us: int) -> Arrival | None:
        """Return what to keep at once instead of what is farther ahead than can be owed, None where nothing is."""
        if kept is None or kept[0] - now_us <= self.slack[0] + DEBT_US:
            return None
        return self.kept(self.slack, now_us)

    def kept(self, state: Ahead, now_us: int) -> Arrival:
        """Return the arrival time that is so far ahead of now."""
        return now_us + state[0], state[1], self.parts

    def units(self, units: int) -> Arrival:
        """Return how far so many units move the arrival time."""
        return *self.stepped((0, 0), units), self.parts

    def owing(self, at_loss: Ahead, since: int, state: Ahead) -> Ahead:  # noqa: ARG002 - time went by for that one
        """Return how far ahead it is if no time has passed since `at_loss`, after which so many were taken."""
        return self.stepped(at_loss, since)

    def charge(self, seed: Ahead, state: Ahead, whole: Meter, workers: int) -> int:  # noqa: ARG002 - time says it all
        """Return what of the whole's slack this share has not left over, in µs, rounded up."""
        assert isinstance(whole, Pace)
        left_us = self.slack[0] - state[0] - (state[1] > self.slack[1])
        return max(0, -((left_us - whole.slack[0] - 1) // workers))

    def _free(self, state: Ahead) -> int:
        return (self.slack[0] - state[0]) * self.parts + self.slack[1] - state[1]


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
    return Pace(step, slack, parts, unit)
