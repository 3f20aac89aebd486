"""What one worker holds of limits ahead of its requests, and how much it should ask for: pure.

A key that is asked for often has its units fetched several at once, about as many as are spent while they live, so that
most requests cost no call. A key that is asked for now and then is counted call by call, exactly. Units are never spent
after their life, on which lua/take.lua relies, but by those who waited for them; the clock is this worker's own, and
counts from before the asking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

from store.meter import US_PER_S, Meter, State

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


def terms_of(meters: Sequence[Meter]) -> Terms:
    """Say how much of these limits may be taken ahead: by those of them that allow the least."""
    return Terms(
        min(of.most_ahead for of in meters), min(of.life_s for of in meters), min(of.most_at_once for of in meters)
    )


@dataclass(slots=True)
class Grant:
    """What Redis last said: so many units, at `now_us` on its clock, and where each limit stood before."""

    units: int
    now_us: int
    before: list[State]


NOTHING = Grant(0, 0, [])


def returned(meters: Sequence[Meter], taken_at_us: int, units: int) -> tuple[bytes, ...]:
    """Give the arguments of lua/give_back.lua for so many units that were taken then."""
    moved = [of.units(units) for of in meters]
    return b"%d" % taken_at_us, *(b"%d" % number for each in moved for number in each)


class Lease:
    """The units held of one set of limits. Times are seconds of the worker's monotonic clock."""

    __slots__ = (
        "_after",
        "asked_at_s",
        "grant",
        "last_gap_s",
        "life_s",
        "meters",
        "refused_until_s",
        "size",
        "terms",
        "units",
        "until_s",
        "used",
    )

    def __init__(self, meters: Sequence[Meter], terms: Terms | None = None) -> None:
        """`terms` are those of these meters, where they are known."""
        self.meters = meters
        self.terms = terms or terms_of(meters)
        self.grant = NOTHING
        self._after: list[State] = []
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
        life_us = self.life_us if units > 1 else 0
        pairs = zip(grant.before, self.meters, strict=True)
        self._after = [of.stepped(of.later(each, life_us) if life_us else each, units) for each, of in pairs]
        if units < self.size:
            left = zip(self._after, self.meters, strict=True)
            self.refused_until_s = self.asked_at_s + max([of.wait_us(each) for each, of in left]) / US_PER_S

    def states(self, now_s: float) -> list[State]:
        """Tell where each limit stands by now, as far as this worker knows: by what it has spent itself."""
        grant = self.grant
        passed_us = int((now_s - self.asked_at_s) * US_PER_S)
        if self.units and len(self.meters) == 1:  # as most are: it saves each request two lists
            of = self.meters[0]
            return [of.stepped(of.passed(grant.before[0], passed_us), grant.units - self.units)]
        if not self.units:
            if not passed_us:
                return self._after
            return [of.passed(each, passed_us) for each, of in zip(self._after, self.meters, strict=True)]
        spent = grant.units - self.units
        pairs = zip(grant.before, self.meters, strict=True)
        return [of.stepped(of.passed(each, passed_us), spent) for each, of in pairs]

    def unspent(self) -> tuple[bytes, ...] | None:
        """Let go of what is left, and give the arguments of lua/give_back.lua; None when there is nothing."""
        units, self.units = self.units, 0
        if not units:
            return None
        return returned(self.meters, self.grant.now_us, units)

    @property
    def counts_from_now(self) -> bool:
        """Whether what was granted last counts from when it was taken: it is for those who waited, not to be held."""
        return self.grant.units == 1 or not self.life_s

    @property
    def life_us(self) -> int:
        """The life of what was asked for last, as Redis is told it."""
        return int(self.life_s * US_PER_S)
