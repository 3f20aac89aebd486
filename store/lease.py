"""What one worker holds of limits ahead of its requests, and how much it should ask for: pure.

A key that is asked for often has its units fetched several at once, about as many as are spent while they live, so that
most requests cost no call. A key that is asked for now and then is counted call by call, exactly. Units are never spent
after their life, on which lua/gcra.lua relies, but by those who waited for them; the clock is this worker's own, and
counts from before the asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

from store.gcra import US_PER_S, Ahead, Pace, later, stepped, wait_us

LONGEST_LIFE_S = 0.5
SHARE = 4
"""One lease takes no more than this part of a burst, and lives no longer than that part of it takes to come back."""
MAX_UNITS = 1024
MAX_PARTS = 2**40  # so that as many units as that stay exact in Lua
USED_OF_LIFE = 0.75
"""For so much of its life a lease should last, by what has come of late."""
NEVER_S = -inf


@dataclass(frozen=True, slots=True)
class Terms:
    """How units of one set of limits may be taken ahead."""

    most: int
    life_s: float
    most_at_once: int
    """How many may be taken for requests that wait for them, and so need no life."""


def terms_of(paces: Sequence[Pace]) -> Terms:
    """Say how much of these limits may be taken ahead: by those of them that allow the least."""
    most, life_s = MAX_UNITS, LONGEST_LIFE_S
    for of in paces:
        step_us, slack_us = of.step[0] + of.step[1] / of.parts, of.slack[0] + of.slack[1] / of.parts
        most = min(most, int(slack_us / SHARE / step_us) if of.parts < MAX_PARTS else 1)
        life_s = min(life_s, slack_us / SHARE / US_PER_S)
    most_at_once = MAX_UNITS if all(of.parts < MAX_PARTS for of in paces) else 1
    return Terms(max(1, most), life_s, most_at_once)


@dataclass(slots=True)
class Grant:
    """What Redis last said: so many units, at `now_us` on its clock, and how far each limit was ahead before."""

    units: int
    now_us: int
    ahead: list[Ahead]


NOTHING = Grant(0, 0, [])


class Lease:
    """The units held of one set of limits. Times are seconds of the worker's monotonic clock."""

    __slots__ = (
        "_after",
        "asked_at_s",
        "grant",
        "last_gap_s",
        "life_s",
        "paces",
        "refused_until_s",
        "size",
        "terms",
        "units",
        "until_s",
        "used",
    )

    def __init__(self, paces: Sequence[Pace], terms: Terms | None = None) -> None:
        """`terms` are those of these paces, where they are known."""
        self.paces = paces
        self.terms = terms or terms_of(paces)
        self.grant = NOTHING
        self._after: list[Ahead] = []
        self.units = 0
        self.until_s = self.refused_until_s = self.asked_at_s = NEVER_S
        self.last_gap_s = inf
        self.life_s = 0.0
        self.size = 1
        self.used = 0
        """How many requests have come since Redis was asked last."""

    def spend(self, now_s: float) -> bool:
        """Spend a unit, if one is held that still lives."""
        if self.units and now_s < self.until_s:
            self.units -= 1
            self.used += 1
            return True
        return False

    def spend_at_once(self) -> bool:
        """Spend a unit of those that have just come, for a request that has waited for them."""
        if not self.units:
            return False
        self.units -= 1
        self.used += 1
        return True

    def wanted(self, now_s: float, waiting: int) -> tuple[int, float]:
        """Say how many units to ask for, and for how long they should live.

        For those who wait, and for who comes while they live, as far as can be told. When more wait than may be taken
        ahead they are for those alone, and live for nobody else.

        From one asking to the next it at most doubles, and not from a first two close to each other: they make no rate.
        """
        terms = self.terms
        if waiting > terms.most:
            return min(waiting, terms.most_at_once), 0.0
        coming = 0
        since_s = now_s - self.asked_at_s
        is_hot = waiting > 1 or self.size > 1 or (self.last_gap_s < terms.life_s / 2 and since_s < terms.life_s / 2)
        if since_s < 2 * terms.life_s and is_hot:
            rate = (self.used + waiting) / max(since_s, 1e-3)
            coming = min(2 * self.size, ceil(rate * terms.life_s * USED_OF_LIFE))
        return max(1, min(terms.most, max(waiting, coming))), terms.life_s

    def asked(self, now_s: float, wanted: int, life_s: float) -> None:
        """Note that Redis is asked for so many units now, with such a life."""
        self.life_s = life_s
        self.last_gap_s = now_s - self.asked_at_s
        self.asked_at_s, self.size, self.used, self.units = now_s, wanted, 0, 0

    def granted(self, grant: Grant) -> None:
        """Take what Redis granted; when that is less than was wanted, nobody need ask before there is more."""
        self.grant = grant
        self.units = units = grant.units
        self.until_s = self.asked_at_s + self.life_s
        pairs = zip(grant.ahead, self.paces, strict=True)
        self._after = [stepped(self._base(each) if units > 1 else each, of, units) for each, of in pairs]
        if units < self.size:
            left = zip(self._after, self.paces, strict=True)
            self.refused_until_s = self.asked_at_s + max([wait_us(each, of) for each, of in left]) / US_PER_S

    def ahead(self, now_s: float) -> list[Ahead]:
        """Tell how far each limit is ahead by now, as far as this worker knows: by what it has spent itself."""
        grant = self.grant
        passed_us = int((now_s - self.asked_at_s) * US_PER_S)
        if not self.units:
            return [_passed(each, passed_us) for each in self._after] if passed_us else self._after
        spent = grant.units - self.units
        return [stepped(_passed(each, passed_us), of, spent) for each, of in zip(grant.ahead, self.paces, strict=True)]

    def unspent(self) -> tuple[bytes, ...] | None:
        """Let go of what is left, and give the arguments of lua/give_back.lua; None when there is nothing."""
        units, self.units = self.units, 0
        if not units:
            return None
        moved = [(*stepped((0, 0), of, units), of.parts) for of in self.paces]
        return b"%d" % self.grant.now_us, *(b"%d" % number for each in moved for number in each)

    def _base(self, ahead: Ahead) -> Ahead:
        return later(ahead, self.life_us)

    @property
    def life_us(self) -> int:
        """The life of what was asked for last, as Redis is told it."""
        return int(self.life_s * US_PER_S)


def _passed(ahead: Ahead, passed_us: int) -> Ahead:
    return (ahead[0] - passed_us, ahead[1]) if ahead[0] >= passed_us else (0, 0)
