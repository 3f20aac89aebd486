"""aiorp, the library whose documents Portico began with, forwarding."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loadtest.compare.processes import free_port, running, until_answered
from loadtest.compare.stage import PLAIN_HOST, Caller, Running, Stage, System


def version() -> str | None:
    """Say which aiorp this Python has, None when it has none."""
    try:
        return importlib.metadata.version("aiorp")
    except importlib.metadata.PackageNotFoundError:
        return None


@asynccontextmanager
async def start(stage: Stage, _tenants: int) -> AsyncIterator[Running]:
    """Run an application of it, one process on uvloop."""
    port, log = free_port(), stage.folder / "said.log"
    command = [sys.executable, "-m", "loadtest.compare.systems.aiorp_app", str(port), str(stage.origin_port)]
    async with running(command, stage.cores.system, log) as process:
        await until_answered(process, port, Caller(PLAIN_HOST).request("/"), log)
        yield Running(process.pid, port)


SYSTEM = System("aiorp", frozenset({"forward"}), version, start)
