"""The rounds that wrk cannot drive: WebSocket messages, idle connections, latency at a rate."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from loadtest.compare.accounting import cost_now
from loadtest.compare.drives import Ground, Sample, metered
from loadtest.compare.processes import DriveError, last_line, output_of
from loadtest.compare.stage import PLAIN_HOST, Caller, Running
from loadtest.compare.wrk import FAULTY_SHARE, run_wrk

PATIENCE_S = 60.0
SHARE_OF_MAXIMUM = 0.7


async def _load(name: str, *arguments: str, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", f"loadtest.compare.{name}", *arguments]
    found: dict[str, Any] = json.loads(await output_of(command, seconds + PATIENCE_S))
    return found


async def drive_websocket(ground: Ground, running: Running) -> Sample:
    """Send messages and have them come back as fast as it goes: the cost of a message there and back."""
    arguments = (str(running.port), str(ground.stage.echo_port), PLAIN_HOST, str(ground.seconds))
    load = _load("websocket_load", *arguments, seconds=ground.seconds)
    done, spent = await metered(running, load)
    if not done["count"]:
        raise DriveError("no message came back")
    return spent.sample(done["count"], done["seconds"])


async def drive_idle(ground: Ground, running: Running) -> Sample:
    """Leave connections open that have made one request each: what one of them holds of memory."""
    await run_wrk(ground.stage.folder, running.port, running.callers, "/", 1)  # what is made once has been made
    before = cost_now(running.pid).resident_bytes
    async with _idle_connections(running.port, ground.idle):
        after = cost_now(running.pid).resident_bytes
    return {"each_kib": (after - before) / ground.idle / 1024, "memory_mib": after / 2**20}


@asynccontextmanager
async def _idle_connections(port: int, count: int) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.compare.idle_load", str(port), PLAIN_HOST, str(count)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            is_ready = await process.stdout.readline() == b"ready\n"
        if is_ready:
            yield
        async with asyncio.timeout(PATIENCE_S):
            _, complaint = await process.communicate(b"")  # nothing, so that its standard input is closed
        if process.returncode or not is_ready:
            raise DriveError(last_line(complaint.decode(errors="replace")) or "no idle connections")
    except TimeoutError:
        raise DriveError("the idle connections were not there in time") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def drive_latency(ground: Ground, running: Running) -> Sample:
    """Find its highest rate, then ask at 70 % of it, through it and the origin directly: what it adds to the p99."""
    most = await run_wrk(ground.stage.folder, running.port, running.callers, "/", ground.seconds)
    rate_per_s = SHARE_OF_MAXIMUM * most.requests / most.seconds
    through = await _paced(ground, running.port, running.callers, rate_per_s)
    directly = await _paced(ground, ground.stage.origin_port, running.callers, rate_per_s)
    return {
        "rate_per_s": rate_per_s,
        "through_ms": through["p99_ms"],
        "directly_ms": directly["p99_ms"],
        "added_ms": through["p99_ms"] - directly["p99_ms"],
        "p50_ms": through["p50_ms"],
    }


async def _paced(ground: Ground, port: int, callers: Sequence[Caller], rate_per_s: float) -> dict[str, Any]:
    file = ground.stage.folder / "requests.json"
    file.write_text(json.dumps([caller.request("/").decode() for caller in callers]))
    arguments = (str(port), str(rate_per_s), str(ground.seconds), str(file))
    found = await _load("paced_load", *arguments, seconds=ground.seconds)
    if found["failed"] > FAULTY_SHARE * found["requests"]:
        raise DriveError(f"of {found['requests']} requests {found['failed']} were refused")
    return found
