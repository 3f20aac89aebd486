"""One round of one system: driven for some seconds, and what that cost its processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from loadtest.compare.accounting import cost_now
from loadtest.compare.stage import Running, Stage
from loadtest.compare.wrk import Load, run_wrk

MIB = 1 << 20
LOG_FLUSH_S = 1.5  # all write what they have at least once a second
Sample = dict[str, float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ground:
    """What a round needs besides the system: where everything is, how long to drive, how many may stay idle."""

    stage: Stage
    seconds: float
    idle: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What a system and its Redis (0 without one) used of a processor in a while, and what it holds of memory then."""

    cpu_s: float
    store_cpu_s: float
    resident_bytes: int

    def sample(self, count: float, seconds: float) -> Sample:
        """Divide by what was got done, and by the time that it was driven."""
        return {
            "cpu_us": self.cpu_s / count * 1e6,
            "store_us": self.store_cpu_s / count * 1e6,
            "per_s": count / seconds,
            "busy_percent": self.cpu_s / seconds * 100,
            "memory_mib": self.resident_bytes / MIB,
        }


async def metered(running: Running, work: Awaitable[T]) -> tuple[T, Spent]:
    """Do some work against a system and see what it spends. Raises ProcessLookupError when the system has ended."""
    before, store_before = cost_now(running.pid), _store_cpu_s(running)
    result = await work
    after, store_after = cost_now(running.pid), _store_cpu_s(running)
    return result, Spent(after.cpu_s - before.cpu_s, store_after - store_before, after.resident_bytes)


def _store_cpu_s(running: Running) -> float:
    return cost_now(running.store_pid).cpu_s if running.store_pid else 0.0


async def drive_requests(ground: Ground, running: Running) -> Sample:
    """Ask for 100 bytes as fast as it goes: the cost of a request."""
    load, spent = await metered(running, _drive(ground, running, "/"))
    sample = {**spent.sample(load.requests, load.seconds), "p50_ms": load.p50_ms, "p99_ms": load.p99_ms}
    if running.access_log is not None:
        sample["logged_percent"] = _lines(running.access_log) / load.requests * 100
    return sample


async def drive_stream(ground: Ground, running: Running) -> Sample:
    """Ask for a mebibyte as often as it goes: the cost of a MiB."""
    load, spent = await metered(running, _drive(ground, running, "/big"))
    received_mib = load.received_bytes / MIB
    return {**spent.sample(received_mib, load.seconds), "p50_ms": load.p50_ms, "p99_ms": load.p99_ms}


async def _drive(ground: Ground, running: Running, path: str) -> Load:
    load = await run_wrk(ground.stage.folder, running.port, running.callers, path, ground.seconds)
    if running.access_log is not None:
        await asyncio.sleep(LOG_FLUSH_S)  # what is still to be written of the log is part of the requests' cost
    return load


def _lines(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(block.count(b"\n") for block in iter(lambda: opened.read(MIB), b""))
