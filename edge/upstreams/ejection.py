"""Passive ejection, pure: a target that keeps failing takes nothing for a while, longer each time.

Envoy's outlier detection is the model: five failures in a row, ten seconds times the ejections so far, five minutes at
most, and never more than half of an upstream's targets at once. A target that comes back is on trial: its first failure
ejects it again, its first success acquits it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FAILURES_BEFORE_EJECTION = 5
FIRST_EJECTION_S = 10.0
LONGEST_EJECTION_S = 300.0
FORGET_ONE_AFTER_S = 30.0
MAX_EJECTED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Standing:
    """How a target has done lately; `until_s` is on the clock of the `now_s` that it was judged with."""

    failures_in_a_row: int = 0
    ejections: int = 0
    until_s: float = 0.0

    def is_ejected(self, now_s: float) -> bool:
        """Say whether the target takes nothing now."""
        return now_s < self.until_s


GOOD = Standing()


def after_success(standing: Standing) -> Standing:
    """Forget the failures; ejections are forgotten by time alone, or a target that fails by halves would stay."""
    return replace(standing, failures_in_a_row=0) if standing.failures_in_a_row else standing


def after_failure(standing: Standing, now_s: float, *, may_eject: bool) -> Standing:
    """Count a failure; the fifth in a row ejects where `may_eject`."""
    failures = standing.failures_in_a_row + 1
    if failures < FAILURES_BEFORE_EJECTION or standing.is_ejected(now_s) or not may_eject:
        return replace(standing, failures_in_a_row=failures)
    ejections = _remembered(standing, now_s) + 1
    pause_s = min(LONGEST_EJECTION_S, FIRST_EJECTION_S * ejections)
    return Standing(failures, ejections, now_s + pause_s)


def may_eject(*, ejected: int, targets: int, usable_others: int) -> bool:
    """Say whether one more target may be ejected: at most half, and never the last one that can be used."""
    return usable_others > 0 and ejected + 1 <= targets * MAX_EJECTED_SHARE


def _remembered(standing: Standing, now_s: float) -> int:
    """Count the ejections that still weigh: each half minute in service has one forgotten."""
    return max(0, standing.ejections - int((now_s - standing.until_s) / FORGET_ONE_AFTER_S))
