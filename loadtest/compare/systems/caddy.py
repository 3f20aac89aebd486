"""Caddy, forwarding."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loadtest.compare.processes import find_program, free_port, running, said_by, until_answered
from loadtest.compare.stage import PLAIN_HOST, Caller, Running, Stage, System
from loadtest.node import StartError

CADDYFILE = """
{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{origin_port} {{
        transport http {{
            keepalive_idle_conns_per_host 256
        }}
    }}
}}
"""


def version() -> str | None:
    """Say which Caddy is here, None when there is none."""
    program = find_program("caddy")
    found = re.search(r"v?(\d+\.\S+)", said_by([program, "version"])) if program else None
    return found[1] if found else None


@asynccontextmanager
async def start(stage: Stage, _tenants: int) -> AsyncIterator[Running]:
    """Run it with as many threads for Go code as it has cores: one."""
    program = find_program("caddy")
    if program is None:
        raise StartError("there is no caddy")
    port, log = free_port(), stage.folder / "said.log"
    configuration = stage.folder / "Caddyfile"
    configuration.write_text(CADDYFILE.format(port=port, origin_port=stage.origin_port))
    folders = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(stage.folder))
    command = [program, "run", "--adapter", "caddyfile", "--config", str(configuration)]
    async with running(command, stage.cores.system, log, {**folders, "GOMAXPROCS": "1"}) as process:
        await until_answered(process, port, Caller(PLAIN_HOST).request("/"), log)
        yield Running(process.pid, port)


SYSTEM = System("caddy", frozenset({"forward", "stream"}), version, start)
