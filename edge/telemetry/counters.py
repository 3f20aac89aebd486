"""What one worker counts: plain integers on the request path, read when somebody asks."""

from __future__ import annotations

from bisect import bisect_left

from edge.errors import ERRORS
from edge.telemetry.metrics import DURATION_BUCKETS_S, Samples
from store.model.auth import AUTH_TYPES

AUTH_METHODS = tuple(AUTH_TYPES)
LIMIT_SOURCES = ("store", "local", "open", "closed")
CONNECT_OUTCOMES = ("made", "failed", "timeout")
CHECK_OUTCOMES = ("passed", "failed")
RETRY_REASONS = ("stale", "connect", "reset", "502", "503", "504")


class UpstreamCounters:
    """A worker's numbers of its way to targets, those of all tenants together."""

    __slots__ = ("checks", "connections", "connects", "ejections", "retries")

    def __init__(self) -> None:
        self.connections = 0
        """Connections to targets that are open, idle ones included."""
        self.connects = dict.fromkeys(CONNECT_OUTCOMES, 0)
        self.ejections = 0
        self.retries = dict.fromkeys(RETRY_REASONS, 0)
        """Attempts after a request's first, by what failed the one before; stale is an idle connection found closed."""
        self.checks = dict.fromkeys(CHECK_OUTCOMES, 0)

    def samples(self) -> Samples:
        """Tell all the numbers, by the names of the table of metrics."""
        return {
            "portico_upstream_connections": self.connections,
            "portico_upstream_ejections_total": self.ejections,
            **{f'portico_upstream_connects_total{{outcome="{word}"}}': count for word, count in self.connects.items()},
            **{f'portico_upstream_retries_total{{reason="{word}"}}': count for word, count in self.retries.items()},
            **{f'portico_upstream_checks_total{{outcome="{word}"}}': count for word, count in self.checks.items()},
        }


class Counters:
    """A worker's numbers. Whoever counts does so by one addition; nobody resets them.

    The dictionaries have all their keys from the start, so that a scrape sees zeros, and no request adds a key.
    """

    def __init__(self) -> None:
        self.by_class = [0] * 6
        """Answers by the first digit of their status; 0 is an answer that never began."""
        self.by_error = dict.fromkeys(ERRORS, 0)
        """The edge's own answers by error code."""
        self.aborted = 0
        self.received_bytes = 0
        self.sent_bytes = 0
        self.limits_admitted = dict.fromkeys(LIMIT_SOURCES, 0)
        """Requests that all their limits admitted, by who decided."""
        self.limits_refused = dict.fromkeys(LIMIT_SOURCES, 0)
        self.limits_shadow_refused = dict.fromkeys(LIMIT_SOURCES, 0)
        """How often a limit in shadow would have refused a request."""
        self.auth_accepted = dict.fromkeys(AUTH_METHODS, 0)
        """Requests whose caller was found, by the method that did."""
        self.auth_refused = 0
        self.compile_failures = 0
        self.upstreams = UpstreamCounters()
        self._durations = [0] * (len(DURATION_BUCKETS_S) + 1)
        self._duration_sum_s = 0.0

    def answered(self, status: int, duration_s: float | None) -> None:
        """Count the end of a request; `status` 0 when no answer began, no duration for one not to be compared."""
        self.by_class[status // 100] += 1
        if duration_s is None:
            return
        self._durations[bisect_left(DURATION_BUCKETS_S, duration_s)] += 1
        self._duration_sum_s += duration_s

    def samples(self) -> Samples:
        """Tell all the numbers, by the names of the table of metrics."""
        return {
            "portico_requests_aborted_total": self.aborted,
            "portico_received_bytes_total": self.received_bytes,
            "portico_sent_bytes_total": self.sent_bytes,
            "portico_config_compile_failures_total": self.compile_failures,
            **{f'portico_requests_total{{status="{digit}xx"}}': self.by_class[digit] for digit in range(1, 6)},
            **{f'portico_errors_total{{code="{code}"}}': count for code, count in self.by_error.items()},
            **{
                f'portico_auth_total{{outcome="accepted",method="{method}"}}': count
                for method, count in self.auth_accepted.items()
            },
            'portico_auth_total{outcome="refused",method="any"}': self.auth_refused,
            **_decisions("admitted", self.limits_admitted),
            **_decisions("refused", self.limits_refused),
            **_decisions("shadow_refused", self.limits_shadow_refused),
            **self.upstreams.samples(),
            **self._histogram(),
        }

    def _histogram(self) -> Samples:
        name = "portico_request_duration_seconds"
        samples: Samples = {}
        total = 0
        for bound, count in zip((*map(str, DURATION_BUCKETS_S), "+Inf"), self._durations, strict=True):
            total += count
            samples[f'{name}_bucket{{le="{bound}"}}'] = total
        return {**samples, f"{name}_sum": self._duration_sum_s, f"{name}_count": total}


def _decisions(outcome: str, by_source: dict[str, int]) -> Samples:
    name = "portico_limit_decisions_total"
    return {f'{name}{{outcome="{outcome}",source="{source}"}}': count for source, count in by_source.items()}
