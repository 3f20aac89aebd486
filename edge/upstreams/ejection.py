"""Passive ejection, pure: a target that keeps failing takes nothing for a while, longer each time.

Envoy's outlier detection is the model: five failures in a row, ten seconds times the ejections so far, five minutes at
most, and never more than half of an upstream's targets at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

FAILURES_BEFORE_EJECTION = 5
FIRST_EJECTION_S = 10.0
LONGEST_EJECTION_S = 300.0
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
    """Forget the failures, and one ejection: trust returns step by step."""
    if standing == GOOD:
        return GOOD
    return Standing(0, max(0, standing.ejections - 1), standing.until_s)


def after_failure(standing: Standing, now_s: float, *, may_eject: bool) -> Standing:
    """Count a failure; the fifth in a row ejects where `may_eject`."""
    failures = standing.failures_in_a_row + 1
    if failures < FAILURES_BEFORE_EJECTION or standing.is_ejected(now_s) or not may_eject:
        return replace(standing, failures_in_a_row=failures)
    ejections = standing.ejections + 1
    pause_s = min(LONGEST_EJECTION_S, FIRST_EJECTION_S * ejections)
    return Standing(0, ejections, now_s + pause_s)


def may_eject(ejected: int, targets: int) -> bool:
    """Say whether one more target may be ejected: at most half, and never the last one."""
    return targets > 1 and ejected + 1 <= targets * MAX_EJECTED_SHARE
