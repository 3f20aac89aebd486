"""What is measured: the scenarios, in the order of the report, and which of a round's figures each shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loadtest.compare.drives import Ground, Sample, drive_requests, drive_stream
from loadtest.compare.special import drive_idle, drive_latency, drive_websocket
from loadtest.compare.stage import Running

CPU, STORE, RATE = ("cpu_us", "CPU µs/{unit}"), ("store_us", "Redis µs/{unit}"), ("per_s", "{unit}/s")
BUSY, P50, P99 = ("busy_percent", "core busy %"), ("p50_ms", "p50 ms"), ("p99_ms", "p99 ms")
MEMORY = ("memory_mib", "memory MiB")

REQUESTS = (CPU, RATE, BUSY, P50, P99, MEMORY)
CHECKED = (CPU, STORE, RATE, BUSY, P50, P99, MEMORY, ("logged_percent", "logged %"))
MESSAGES = (CPU, RATE, BUSY, MEMORY)
IDLE = (("each_kib", "KiB/{unit}"), MEMORY)
PACED = (
    ("added_ms", "added p99 ms"),
    ("through_ms", "p99 ms"),
    ("directly_ms", "p99 ms of the origin"),
    P50,
    ("rate_per_s", "{unit}/s"),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to measure. `tenants` as `System.start` takes it; `is_fresh`: each round has a system of its own."""

    name: str
    what: str
    unit: str
    tenants: int
    columns: tuple[tuple[str, str], ...]
    drive: Callable[[Ground, Running], Awaitable[Sample]]
    is_fresh: bool = False


SCENARIOS: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario("forward", "no checks, 100-byte answers, keep-alive", "request", 0, REQUESTS, drive_requests),
        Scenario("full", "all checks, 10,000 tenants", "request", 10_000, CHECKED, drive_requests),
        Scenario("full-100", "all checks, 100 tenants", "request", 100, CHECKED, drive_requests),
        Scenario("full-100k", "all checks, 100,000 tenants", "request", 100_000, CHECKED, drive_requests),
        Scenario("stream", "no checks, answers of 1 MiB", "MiB", 0, REQUESTS, drive_stream),
        Scenario("websocket", "small messages there and back", "message", 0, MESSAGES, drive_websocket),
        Scenario("idle", "connections that have made one request", "connection", 0, IDLE, drive_idle, is_fresh=True),
        Scenario("latency", "all checks, 10,000 tenants, at 70 % of its rate", "request", 10_000, PACED, drive_latency),
    )
}
