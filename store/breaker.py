"""When to stop asking a Redis that does not answer: a pure decider.

    closed --5 failures in a row--> open --each second one probe--> (success) closed

It holds no probe in flight: to let one through is to put off the next, so a cancelled probe leaves nothing
locked.
"""

from __future__ import annotations

from dataclasses import dataclass

FAILURES_TO_OPEN = 5
PROBE_EVERY_S = 1.0
ONE_MOMENT_S = 0.04
"""Shorter than an asking on the request path waits, so that those made one after the other all count."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row so far; when open, `probe_at_s` is when the next try may be made (the caller's clock)."""

    failures: int = 0
    probe_at_s: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether only probes are let through."""
        return self.failures >= FAILURES_TO_OPEN


CLOSED = Breaker()


def may_try(breaker: Breaker, now_s: float) -> tuple[bool, Breaker]:
    """Say whether a call may be made now, and the breaker to keep."""
    if not breaker.is_open:
        return True, breaker
    if now_s < breaker.probe_at_s:
        return False, breaker
    return True, Breaker(breaker.failures, now_s + PROBE_EVERY_S)


def after_failure(breaker: Breaker, now_s: float) -> Breaker:
    """Return the breaker after a call that failed at `now_s`.

    Calls that fail at one moment, as all do that waited on one connection, or for one, are one failure: a single late
    reply, or a stall of a fifth of a second, must not close Redis to everybody for a second.
    """
    if breaker.failures and not breaker.is_open and now_s + PROBE_EVERY_S < breaker.probe_at_s + ONE_MOMENT_S:
        return breaker
    return Breaker(breaker.failures + 1, now_s + PROBE_EVERY_S)
