"""Closed-loop load by wrk: a script of its Lua that goes round the callers and reports in one line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.compare.processes import DriveError, find_program, output_of
from loadtest.compare.stage import Caller

MARK = "measured "
CONNECTIONS = 32
PATIENCE_S = 30.0
FAULTY_SHARE = 0.001  # beyond that many answers that are errors, what was measured is something else

SCRIPT = """
local requests, at = {{}}, 0
{requests}
function request()
    at = at % #requests + 1
    return requests[at]
end
function done(summary, latency)
    local e = summary.errors
    io.write(string.format(
        '{mark}{{"requests": %d, "duration_us": %d, "bytes": %d, "p50_us": %d, "p99_us": %d, '
        .. '"failed": %d, "broken": %d}}\\n', summary.requests, summary.duration, summary.bytes, latency:percentile(50),
        latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What was got done: requests that were answered well, in how long, and how fast half and nearly all came."""

    requests: int
    seconds: float
    received_bytes: int
    p50_ms: float
    p99_ms: float


def script_for(callers: Sequence[Caller], path: str) -> str:
    """Write the script that asks for `path` as each caller in turn."""
    requests = "\n".join(
        f"requests[{number}] = {json.dumps(caller.request(path).decode())}" for number, caller in enumerate(callers, 1)
    )
    return SCRIPT.format(requests=requests, mark=MARK)


def parse(text: str) -> Load:
    """Read what the script reported. Raises DriveError when there is nothing, or too much of it were errors."""
    lines = [line.removeprefix(MARK) for line in text.splitlines() if line.startswith(MARK)]
    if not lines:
        raise DriveError("wrk reported nothing")
    found = json.loads(lines[-1])
    answered = found["requests"] - found["failed"]
    if answered <= 0 or found["failed"] + found["broken"] > FAULTY_SHARE * found["requests"]:
        raise DriveError(
            f"of {found['requests']} requests {found['failed']} were refused and {found['broken']} broken off"
        )
    seconds = found["duration_us"] / 1e6
    return Load(answered, seconds, found["bytes"], found["p50_us"] / 1000, found["p99_us"] / 1000)


async def run_wrk(folder: Path, port: int, callers: Sequence[Caller], path: str, seconds: float) -> Load:
    """Drive a port as fast as it goes, from the core this runs on. Raises DriveError."""
    script = folder / "wrk.lua"
    script.write_text(script_for(callers, path))
    lasting = f"{max(1, round(seconds))}s"  # wrk knows whole seconds only
    command = [find_program("wrk") or "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{lasting}", "--timeout", "10s"]
    said = await output_of([*command, "-s", str(script), f"http://127.0.0.1:{port}{path}"], seconds + PATIENCE_S)
    return parse(said)
