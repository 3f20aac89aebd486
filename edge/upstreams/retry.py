"""May a failed attempt be made again? Pure: a request is repeated only where that cannot do its work twice.

* Nothing of it was sent: any request whose body has not been touched.
* It was sent: only a method that is idempotent by definition (RFC 9110 section 9.2.2), and only without a body or with
  one that is held in memory.
* A connection that was idle and is reset at once is the edge's own bad luck: such a request is tried once more on a new
  connection, whatever the upstream's own `retry` says.

A budget keeps retries to a fifth of an upstream's requests, so that they never make an outage worse.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.answer import UpstreamError
from edge.errors import EdgeError
from store.model import Retry

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_REASONS = {"upstream_connect": "connect", "upstream_reset": "reset"}
SLOT_S = 0.1
BUDGET_WINDOW_S = 10.0
BUDGET_SHARE = 0.2
BUDGET_FLOOR = 3


@dataclass(frozen=True, slots=True)
class Attempt:
    """A failed attempt: what failed it, how many there were before it, and what the request is like."""

    failure: EdgeError | int
    """The error, or the status of an answer of which nothing has been sent on."""
    retries_made: int
    method: str
    is_body_untouched: bool
    """No byte of the body has been read from the client, or there is none."""
    is_body_repeatable: bool
    """There is no body, or all of it is in memory."""


def is_stale_connection(attempt: Attempt) -> bool:
    """Say whether the failure is that of an idle connection which the target had closed meanwhile."""
    failure = attempt.failure
    return (
        isinstance(failure, UpstreamError)
        and failure.code == "upstream_reset"
        and failure.is_reused
        and attempt.method in IDEMPOTENT
        and attempt.is_body_repeatable
    )


def may_retry(attempt: Attempt, retry: Retry) -> bool:
    """Say whether the upstream's settings allow another attempt that is safe to make."""
    reason = reason_of(attempt.failure)
    if reason not in retry.on or attempt.retries_made >= retry.attempts:
        return False
    failure = attempt.failure
    if isinstance(failure, UpstreamError) and not failure.is_request_sent:
        return attempt.is_body_untouched or attempt.is_body_repeatable
    return attempt.method in IDEMPOTENT and attempt.is_body_repeatable


def reason_of(failure: EdgeError | int) -> str | None:
    """Name a failure as documents do: connect, reset, or a status; None for what is never retried."""
    if isinstance(failure, int):
        return str(failure)
    if isinstance(failure, UpstreamError) and failure.code == "upstream_timeout" and not failure.is_request_sent:
        return "connect"  # the connection took too long; nothing was asked of the target yet
    return _REASONS.get(failure.code)


class RetryBudget:
    """How many retries an upstream may have: a fifth of its requests of the last ten seconds, and three anyway."""

    def __init__(self) -> None:
        self._requests: deque[tuple[float, int]] = deque()
        self._retries: deque[float] = deque()
        self._count = 0  # of all requests in the deque
        self._slot_ends_s = 0.0
        self._slot_count = 0  # of those in the slot that has not ended, and is not in the deque

    def note_request(self, now_s: float) -> None:
        """Count a request; requests of the same tenth of a second share an entry."""
        if now_s >= self._slot_ends_s:
            self._end_slot(now_s)
        self._slot_count += 1

    def _end_slot(self, now_s: float) -> None:
        if self._slot_count:
            self._requests.append((self._slot_ends_s - SLOT_S, self._slot_count))
            self._count += self._slot_count
        self._slot_ends_s, self._slot_count = now_s + SLOT_S, 0
        self._forget(now_s)

    def take(self, now_s: float) -> bool:
        """Take one retry, if there is one left."""
        if now_s >= self._slot_ends_s:
            self._end_slot(now_s)
        self._forget(now_s)
        if len(self._retries) >= BUDGET_FLOOR + (self._count + self._slot_count) * BUDGET_SHARE:
            return False
        self._retries.append(now_s)
        return True

    def _forget(self, now_s: float) -> None:
        while self._requests and self._requests[0][0] < now_s - BUDGET_WINDOW_S:
            self._count -= self._requests.popleft()[1]
        while self._retries and self._retries[0] < now_s - BUDGET_WINDOW_S:
            self._retries.popleft()
