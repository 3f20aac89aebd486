"""An nginx of ours: what its configuration always has, and the origin behind every system."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from loadtest.compare.processes import find_program, free_port, running, said_by, until_answered
from loadtest.compare.stage import PLAIN_HOST, Caller, Running, Stage
from loadtest.node import StartError

ANSWER = "x" * 99  # and a line feed
BIG_BYTES = 1 << 20
MAX_CONNECTIONS = 20_000

ALWAYS = """
{modules}
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
}}
"""

ORIGIN = """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type text/plain;
        location / {{ return 200 "{answer}\\n"; }}
        location = /big {{ root {folder}; }}
    }}
"""


def nginx_version() -> str | None:
    """Say which nginx is here, None when there is none."""
    program = find_program("nginx")
    found = re.search(r"nginx/(\S+)", said_by([program, "-v"])) if program else None
    return found[1] if found else None


def nginx_modules() -> Path | None:
    """Where nginx has its dynamic modules, None when it does not say."""
    program = find_program("nginx")
    found = re.search(r"--modules-path=(\S+)", said_by([program, "-V"])) if program else None
    return Path(found[1]) if found else None


@asynccontextmanager
async def running_nginx(
    stage: Stage, http: str, port: int, *, modules: str = "", caller: Caller | None = None
) -> AsyncIterator[Running]:
    """Run an nginx with this `http` part, which listens on `port`, until the context ends; yields when it answers."""
    program = find_program("nginx")
    if program is None:
        raise StartError("there is no nginx")
    text = ALWAYS.format(
        folder=stage.folder,
        http=http,
        modules=modules,
        connections=min(MAX_CONNECTIONS, stage.files),
        user="user root;" if os.geteuid() == 0 else "",  # else its workers could not read the folder
    )
    configuration = stage.folder / "nginx.conf"
    configuration.write_text(text)
    log = stage.folder / "said.log"
    command = [program, "-p", str(stage.folder), "-e", str(log), "-c", str(configuration)]
    async with running(command, stage.cores.system, log) as process:
        await until_answered(process, port, (caller or Caller(PLAIN_HOST)).request("/"), log)
        yield Running(process.pid, port)


@asynccontextmanager
async def running_origin_nginx(stage: Stage) -> AsyncIterator[int]:
    """Run the origin, on the core of the load, and yield its port: 100 bytes anywhere, a mebibyte at /big."""
    port = free_port()
    http = ORIGIN.format(port=port, answer=ANSWER, folder=stage.folder)
    load_core = replace(stage.cores, system=stage.cores.load)
    async with running_nginx(replace(stage, cores=load_core), http, port):
        (stage.folder / "big").write_bytes(os.urandom(BIG_BYTES))
        yield port
