"""Where a limit stands for one of its callers, said in units for people: what Redis holds and the limit in, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from store.gcra import pace
from store.meter import US_PER_S, Kept
from store.model import ConcurrentLimit, Limit, QuotaLimit, RateLimit
from store.quota import quota

Kind = Literal["rate", "quota", "concurrent"]
Under = tuple[tuple[int, int], ...]
"""Of each worker how many requests are under way, and until when that counts, in µs of Unix time."""


class Counted(NamedTuple):
    """What Redis holds of one limit and one of its callers; `gone_in_ms`: when that is forgotten."""

    name: str
    key: str
    value: Kept | Under
    gone_in_ms: int
    now_us: int

    @property
    def kind(self) -> Kind:
        """By which kind of limit it was counted."""
        if not self.value or isinstance(self.value[0], tuple):
            return "concurrent"
        return "quota" if self.value[2] == 0 else "rate"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a limit stands for one of its callers; None for what is not known of a limit that is not there any more.

    `most` is a rate's burst, a quota, or how many at once; `owed` is what was spent beyond it while Redis was away.
    `back_in_s`: when all of it is there again. `workers`: on how many of them requests are under way. What workers hold
    ahead of requests counts as used (`Limiter.drift`).
    """

    name: str
    key: str
    kind: Kind
    used: int | None
    most: int | None = None
    left: int | None = None
    owed: int = 0
    back_in_s: float | None = None
    workers: int | None = None
    is_shadow: bool = False
    is_declared: bool = False

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing is counted any more."""
        return self.used == 0

    @property
    def share(self) -> float:
        """Which part of all that may be used is used; more than 1 where something is owed."""
        return (self.used + self.owed) / self.most if self.most and self.used is not None else -1.0


def standing(counted: Counted, limits: Mapping[str, Limit]) -> Standing:
    """Say where a limit stands, by the clock of when it was read; `limits` are those that are in force, by name."""
    limit = limits.get(counted.name)
    if limit is None or kind_of(limit) != counted.kind:
        return _undeclared(counted)
    known: dict[str, Any] = {"is_shadow": limit.shadow, "is_declared": True}
    if isinstance(limit, ConcurrentLimit):
        return _places(counted, limit.concurrent, known)
    kept, now_us = _kept(counted), counted.now_us
    if isinstance(limit, QuotaLimit):
        of = quota(limit.quota.units, limit.quota.window)
        used, ends_us = of.read(kept, now_us)
        owed = max(0, used - of.limit)
        return Standing(
            counted.name, counted.key, "quota", used - owed, of.limit, of.limit - used + owed, owed,
            ends_us / US_PER_S, **known,
        )  # fmt: skip
    meter = pace(limit.count, limit.period_s, limit.burst)
    state = meter.read(kept, now_us)
    left = meter.remaining(state)
    return Standing(
        counted.name, counted.key, "rate", limit.burst - left, limit.burst, left, meter.owed(state),
        meter.reset_us(state) / US_PER_S, **known,
    )  # fmt: skip


def kind_of(limit: Limit) -> Kind:
    """Say of which kind a limit is."""
    return "rate" if isinstance(limit, RateLimit) else "quota" if isinstance(limit, QuotaLimit) else "concurrent"


def most_of(limit: Limit) -> int:
    """Say how much of a limit there is at once: a rate's burst, a quota, so many under way."""
    if isinstance(limit, RateLimit):
        return limit.burst
    return limit.quota.units if isinstance(limit, QuotaLimit) else limit.concurrent


def _kept(counted: Counted) -> Kept:
    us, part, parts = counted.value
    assert isinstance(us, int)
    assert isinstance(part, int)
    assert isinstance(parts, int)
    return us, part, parts


def _places(counted: Counted, most: int | None, known: Mapping[str, Any]) -> Standing:
    under = [each for each in counted.value if isinstance(each, tuple) and each[0] and each[1] > counted.now_us]
    used = sum(count for count, _ in under)
    left = None if most is None else max(0, most - used)
    return Standing(counted.name, counted.key, "concurrent", used, most, left, workers=len(under), **known)


def _undeclared(counted: Counted) -> Standing:
    """Say what can be said of a count whose limit is not there any more, or of another kind now."""
    if counted.kind == "concurrent":
        return _places(counted, None, {})
    used = _kept(counted)[0] if counted.kind == "quota" else None
    gone_in_s = max(0, counted.gone_in_ms) / 1000
    return Standing(counted.name, counted.key, counted.kind, used, back_in_s=gone_in_s)
