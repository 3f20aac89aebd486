"""HAProxy, forwarding."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loadtest.compare.processes import find_program, free_port, running, said_by, until_answered
from loadtest.compare.stage import PLAIN_HOST, Caller, Running, Stage, System
from loadtest.node import StartError

CONFIGURATION = """
global
    nbthread 1
    no strict-limits
    maxconn {connections}
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
    http-reuse always
frontend clients
    bind 127.0.0.1:{port} backlog 4096
    default_backend web
backend web
    server origin 127.0.0.1:{origin_port}
"""


def version() -> str | None:
    """Say which HAProxy is here, None when there is none."""
    program = find_program("haproxy")
    found = re.search(r"version (\S+)", said_by([program, "-v"])) if program else None
    return found[1] if found else None


@asynccontextmanager
async def start(stage: Stage, _tenants: int) -> AsyncIterator[Running]:
    """Run it with one thread."""
    program = find_program("haproxy")
    if program is None:
        raise StartError("there is no haproxy")
    port, log = free_port(), stage.folder / "said.log"
    configuration = stage.folder / "haproxy.cfg"
    connections = min(20_000, stage.files * 9 // 10)  # idle ones have no second descriptor
    configuration.write_text(CONFIGURATION.format(port=port, origin_port=stage.origin_port, connections=connections))
    async with running([program, "-db", "-f", str(configuration)], stage.cores.system, log) as process:
        await until_answered(process, port, Caller(PLAIN_HOST).request("/"), log)
        yield Running(process.pid, port)


SYSTEM = System("haproxy", frozenset({"forward", "stream", "idle"}), version, start)
