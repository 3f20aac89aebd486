"""What is noted of each request when it is over: some additions, and a record for the access log."""

from __future__ import annotations

import time
from collections.abc import Callable

from edge.serve import Served
from edge.telemetry.access_log import AccessLog, AccessRecord
from edge.telemetry.counters import Counters

SWITCHED_PROTOCOLS = 101


class Observer:
    """Called with every `Served`; neither waits nor raises. `now_s` is the clock `Served.started_s` was read from."""

    def __init__(self, counters: Counters, log: AccessLog, now_s: Callable[[], float]) -> None:
        self._counters = counters
        self._log = log
        self._now_s = now_s

    def __call__(self, served: Served) -> None:
        """Count the request, and log it if anybody reads the log."""
        counters, exchange, error = self._counters, served.exchange, served.error
        duration_s = self._now_s() - served.started_s
        # A tunnel lasts as long as its two ends like: no duration to compare with an answer's.
        counters.answered(exchange.status, None if exchange.status == SWITCHED_PROTOCOLS else duration_s)
        counters.received_bytes += exchange.bytes_received
        counters.sent_bytes += exchange.bytes_sent
        if error is not None:
            counters.by_error[error.code] += 1
            if error.code == "unauthorized":
                counters.auth_refused += 1
        if served.is_client_gone:
            counters.aborted += 1
        if served.ctx is not None:
            identity = served.ctx.identity
            if identity is not None and identity.kind in counters.auth_accepted:
                counters.auth_accepted[identity.kind] += 1
            elif served.ctx.is_refused:
                counters.auth_refused += 1
        if self._log.is_enabled:
            self._log.add(_record(served, duration_s))


def _record(served: Served, duration_s: float) -> AccessRecord:
    exchange, ctx, error = served.exchange, served.ctx, served.error
    target, has_query, _ = exchange.raw_path.partition("?")
    code, detail = ("", "") if error is None else (error.code, error.detail)
    if served.is_client_gone:
        code = "client_gone"
    # In the order of its fields: to bind them by their names takes three times as long.
    fields = (
        time.time() - duration_s,
        exchange.request_id,
        served.client,
        exchange.method,
        exchange.host,
        target if target.startswith("/") else without_authority(target),
        bool(has_query),
        exchange.status,
        duration_s,
        exchange.bytes_received,
        exchange.bytes_sent,
    )
    if ctx is None:
        return AccessRecord._make((*fields, "", "", "", code, detail, "", 0, None, ""))
    subject = "" if ctx.identity is None else ctx.identity.subject
    routed = (
        ctx.tenant,
        ctx.route,
        subject,
        code,
        detail,
        ctx.target,
        ctx.attempts,
        ctx.upstream_s,
        ",".join(ctx.shadow_refused),
    )
    return AccessRecord._make(fields + routed)


def without_authority(target: str) -> str:
    """Return the path of an absolute-form target: what stands before it may hold a name and a password."""
    _, _, path = target.partition("://")[2].partition("/")
    return f"/{path}"
