"""Quotas: so many in each minute, hour, day or month of the calendar, in UTC; pure.

What is used of a quota comes back all at once, when its window ends. Units taken ahead of requests count in the window
they were taken in, so none are taken that could outlive it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache

from store.meter import LONGEST_LIFE_S, MAX_EXACT, MAX_UNITS, SHARE, US_PER_S, Kept, Meter

Used = tuple[int, int]
"""How much of the quota is used, and in how many µs the window ends."""
WINDOWS = ("minute", "hour", "day", "month")
NOMINAL_S = {"minute": 60, "hour": 3600, "day": 86_400, "month": 30 * 86_400}
"""How long windows are, a month on the average."""


def bounds_s(window: str, now_s: int) -> tuple[int, int]:
    """Return when the window began that a moment is in, and when it ends: seconds of Unix time."""
    if window != "month":
        length_s = NOMINAL_S[window]
        began_s = now_s - now_s % length_s
        return began_s, began_s + length_s
    now = datetime.fromtimestamp(now_s, UTC)
    following = (now.year + now.month // 12, now.month % 12 + 1)
    return tuple(  # type: ignore[return-value]
        int(datetime(year, month, 1, tzinfo=UTC).timestamp()) for year, month in ((now.year, now.month), following)
    )


@dataclass(frozen=True)
class Quota:
    """A quota made ready, for takes of one cost."""

    limit: int
    window: str
    cost: int

    @cached_property
    def arguments(self) -> tuple[bytes, ...]:
        """Cost, limit and window, as lua/take.lua takes them; it knows a quota by its having no parts."""
        return tuple(b"%d" % number for number in (self.cost, 0, self.limit, WINDOWS.index(self.window), 0))

    @property
    def most_ahead(self) -> int:
        """A part of the quota."""
        return max(1, min(MAX_UNITS, self.limit // SHARE // self.cost))

    @property
    def most_at_once(self) -> int:
        """As many as are counted in one call."""
        return MAX_UNITS

    @property
    def life_s(self) -> float:
        """As long as anything is held."""
        return LONGEST_LIFE_S

    def stepped(self, state: Used, units: int = 1) -> Used:
        """Return what is used after one more take, or so many."""
        return state[0] + self.cost * units, state[1]

    def passed(self, state: Used, us: int) -> Used:
        """Return what is used when so much time has passed: after the window's end nothing."""
        return (state[0], state[1] - us) if state[1] > us else (0, NOMINAL_S[self.window] * US_PER_S)

    def later(self, state: Used, life_us: int) -> Used:  # noqa: ARG002 - within its window it does not matter when
        """Return what is used: when a unit is spent is nothing to a quota."""
        return state

    def most(self, state: Used, wanted: int, life_us: int) -> int:
        """Return how many units are left, one at most where more could outlive the window."""
        left = max(0, self.limit - state[0]) // self.cost
        return min(wanted, left, 1 if state[1] < life_us else left)

    def is_admitted(self, state: Used) -> bool:
        """Whether there is enough left for one more take."""
        return state[0] + self.cost <= self.limit

    def remaining(self, state: Used) -> int:
        """Return how much is left."""
        return max(0, self.limit - state[0])

    def wait_us(self, state: Used) -> int:
        """Return in how many µs one more take would be admitted: when the window ends, unless there is enough left."""
        return 0 if self.is_admitted(state) else state[1]

    def reset_us(self, state: Used) -> int:
        """Return in how many µs the window ends."""
        return state[1]

    def with_left(self, left: int, now_us: int) -> Used:
        """Return what is used when so much is left."""
        return max(0, self.limit - left), self._ends_us(now_us) - now_us

    def read(self, kept: Kept | None, now_us: int) -> Used:
        """Return what was used of the present window."""
        ends_us = self._ends_us(now_us)
        is_present = kept is not None and kept[2] == 0 and kept[1] == self._began_us(now_us)
        return kept[0] if kept is not None and is_present else 0, ends_us - now_us

    def kept(self, state: Used, now_us: int) -> Kept:
        """Return what is used and when the window began."""
        return state[0], self._began_us(now_us), 0

    def units(self, units: int) -> Kept:
        """Return how much so many units use."""
        return self.cost * units, WINDOWS.index(self.window), 0

    def owing(self, at_loss: Used, since: int, state: Used) -> Used:  # noqa: ARG002 - all comes back at once
        """Return what is used: what came back was of a window that is over."""
        return state

    def charge(self, seed: Used, state: Used, whole: Meter, workers: int) -> int:  # noqa: ARG002 - a count is a count
        """Return what was used since."""
        return max(0, state[0] - seed[0])

    def _began_us(self, now_us: int) -> int:
        return bounds_s(self.window, now_us // US_PER_S)[0] * US_PER_S

    def _ends_us(self, now_us: int) -> int:
        return bounds_s(self.window, now_us // US_PER_S)[1] * US_PER_S


@lru_cache(maxsize=8192)
def quota(limit: int, window: str, cost: int = 1, workers: int = 1) -> Quota:
    """Return the quota of so many in each window; `workers`: one worker's share of it.

    ValueError for what no take could ever satisfy, or what Lua could not count exactly.
    """
    if window not in NOMINAL_S or not 1 <= cost <= limit < MAX_EXACT // 8:
        raise ValueError(f"a quota is 1 or more in each {', '.join(WINDOWS)}, and a take costs no more than all of it")
    return Quota(max(cost, limit // workers), window, cost)
