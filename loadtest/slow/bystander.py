"""The client that does nothing wrong: asks again and again beside all others, and says what it saw.

    python -m loadtest.slow.bystander PORT HOST PATH

One keep-alive connection, one request after the other with a short pause, until its standard input ends; then it
prints JSON. A process of its own, so that what it waits for is the edge and not the others' load.
"""

from __future__ import annotations

import asyncio
import gc
import json
import select
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from time import perf_counter

from loadtest.compare.idle_load import is_whole
from loadtest.propagation import percentile

PAUSE_S = 0.005
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a bystander saw: how often it asked, how many answers were none or no 200, and how long they took."""

    asked: int
    failed: int
    p50_ms: float
    p99_ms: float
    most_ms: float


def ask(link: socket.socket, request: bytes) -> None:
    """Send a request and take its answer; OSError when that is not a whole 200."""
    link.sendall(request)
    received = b""
    while not is_whole(received):
        data = link.recv(65536)
        if not data:
            raise ConnectionError("closed before the answer")
        received += data


def watch(port: int, request: bytes, has_to_go: Callable[[float], bool]) -> Seen:
    """Ask until `has_to_go`, which is given how long to wait for its answer."""
    times_ms: list[float] = []
    failed = 0
    link = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    while not has_to_go(PAUSE_S):
        began_s = perf_counter()
        try:
            ask(link, request)
        except OSError:
            failed += 1
            link.close()
            with suppress(OSError):
                link = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        times_ms.append((perf_counter() - began_s) * 1000)
    link.close()
    ordered = sorted(times_ms) or [0.0]
    return Seen(len(times_ms), failed, percentile(ordered, 50), percentile(ordered, 99), ordered[-1])


@asynccontextmanager
async def bystander(port: int, host: str, path: str) -> AsyncIterator[list[Seen]]:
    """Have one ask until the context ends; what it saw is in the list afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.slow.bystander", str(port), host, path),
        stdin=PIPE,
        stdout=PIPE,
        start_new_session=True,
    )
    seen: list[Seen] = []
    try:
        assert process.stdout is not None
        await process.stdout.readline()  # it asks
        yield seen
        said, _ = await process.communicate(b"")  # nothing, so that its standard input is closed
        seen.append(Seen(**json.loads(said)))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _input_ends(wait_s: float) -> bool:
    return bool(select.select([sys.stdin], (), (), wait_s)[0])


def main(port: int, host: str, path: str) -> None:
    """Watch and print."""
    gc.disable()  # a collection would be a latency of ours
    print("asks", flush=True)
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    print(json.dumps(asdict(watch(port, request, _input_ends))))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
