"""Every metric of an edge node, once; and how the samples of several workers become one page of Prometheus text.

A process tells its numbers as `Samples`: the sample's name with its labels, as Prometheus spells it, and a value. The
label values are words from fixed sets (status classes, error codes), so their number is bounded and needs no escaping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Samples = dict[str, float]
Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "min", "max"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. `merge` says how the workers' values become the node's; counters and histograms are summed."""

    name: str
    kind: Kind
    help: str
    merge: Merge = "sum"


# fmt: off
METRICS: tuple[Metric, ...] = (
    Metric("portico_requests_total", "counter", "Requests answered, by class of status."),
    Metric("portico_errors_total", "counter", "Answers that the edge gave itself, by error code."),
    Metric("portico_request_duration_seconds", "histogram", "From a request's head to the end of its answer."),
    Metric("portico_requests_in_flight", "gauge", "Requests that are being served."),
    Metric("portico_requests_aborted_total", "counter", "Requests whose client or target went before the end."),
    Metric("portico_connections_total", "counter", "Client connections accepted."),
    Metric("portico_client_bounds_total", "counter",
           "Connections that met a bound: closed for want of room, for silence or idleness, cut, refused, or paused."),
    Metric("portico_connections_open", "gauge", "Client connections that are open."),
    Metric("portico_received_bytes_total", "counter", "Bytes of request bodies received from clients."),
    Metric("portico_sent_bytes_total", "counter", "Bytes of answers, heads included, sent to clients."),
    Metric("portico_limit_decisions_total", "counter",
           "Decisions of limits, by outcome (admitted, refused, shadow_refused) and by who decided: store, or when "
           "it is lost local, open, closed."),
    Metric("portico_limit_store_calls_total", "counter",
           "How often Redis was asked for units of limits or for places, or given some back."),
    Metric("portico_limit_places_taken", "gauge",
           "Requests under way that limits of those at once count."),
    Metric("portico_limit_leased_units", "gauge",
           "Units of limits that workers hold and nobody has spent yet: the drift."),
    Metric("portico_auth_total", "counter", "Credential checks, by outcome and, of those accepted, by method."),
    Metric("portico_upstream_connections", "gauge", "Connections to targets that are open, idle ones included."),
    Metric("portico_upstream_connects_total", "counter", "Connections to targets, by outcome: made, failed, timeout."),
    Metric("portico_upstream_retries_total", "counter",
           "Attempts after a request's first, by what failed the one before."),
    Metric("portico_upstream_ejections_total", "counter",
           "Targets that took nothing for a while because they kept failing."),
    Metric("portico_upstream_checks_total", "counter", "Health checks of targets, by outcome: passed, failed."),
    Metric("portico_config_revision", "gauge", "The applied revision; the lowest of the workers.", "min"),
    Metric("portico_config_age_seconds", "gauge", "Since the store last confirmed it; the highest.", "max"),
    Metric("portico_config_refused", "gauge", "Tenants on an older revision, theirs not usable; highest.", "max"),
    Metric("portico_config_compile_failures_total", "counter", "Tenants' revisions that could not be compiled."),
    Metric("portico_store_up", "gauge", "1 while the store answers; the lowest of the workers.", "min"),
    Metric("portico_access_log_dropped_total", "counter", "Access-log lines dropped because writing was slow."),
    Metric("portico_workers", "gauge", "Worker processes by state: ready, starting, silent."),
    Metric("portico_worker_restarts_total", "counter", "Worker processes started again after they ended."),
)
# fmt: on

_BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
_HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")


def metric_of(sample: str) -> Metric:
    """Return the metric that a sample's name belongs to; KeyError for one that the table does not have."""
    name = sample.partition("{")[0]
    for part in _HISTOGRAM_PARTS:
        base = _BY_NAME.get(name.removesuffix(part))
        if base is not None and base.kind == "histogram":
            return base
    return _BY_NAME[name]


def merge(several: Iterable[Mapping[str, float]]) -> Samples:
    """Make one set of samples out of those of several processes."""
    merged: Samples = {}
    for samples in several:
        for sample, value in samples.items():
            known = merged.get(sample)
            merged[sample] = value if known is None else _combine(metric_of(sample).merge, known, value)
    return merged


def _combine(how: Merge, left: float, right: float) -> float:
    if how == "sum":
        return left + right
    return min(left, right) if how == "min" else max(left, right)


def lasting(samples: Mapping[str, float]) -> Samples:
    """Return the samples that must outlive the process that counted them: all but gauges."""
    return {sample: value for sample, value in samples.items() if metric_of(sample).kind != "gauge"}


def render(samples: Mapping[str, float]) -> str:
    """Render samples as Prometheus text exposition format 0.0.4, in the order of the table."""
    families: dict[str, list[str]] = {metric.name: [] for metric in METRICS}
    for sample, value in samples.items():
        families[metric_of(sample).name].append(f"{sample} {_number(value)}\n")
    return "".join(_family(metric, families[metric.name]) for metric in METRICS if families[metric.name])


def _family(metric: Metric, lines: Sequence[str]) -> str:
    return f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n{''.join(lines)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
