"""nginx with Lua and Redis: the checks of `full` as somebody writes them who has nginx, Lua and Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loadtest.compare.nginx_server import nginx_modules, nginx_version, running_nginx
from loadtest.compare.population import RATE_PER_S, Member, callers_of, members
from loadtest.compare.processes import find_program, free_port, said_by
from loadtest.compare.stage import Running, Stage, System
from loadtest.node import StartError
from store.client import Client, connect
from store.embedded import RedisBinaryError, RedisProcess, find_redis_binary
from store.secrets import hash_secret

FOLDER = Path(__file__).parent
NAMES = ("ndk_http_module.so", "ngx_http_lua_module.so")
BATCH = 500

CHECKED = """
    proxy_http_version 1.1;
    proxy_max_temp_file_size 0;
    log_format line escape=json '{{"at":"$time_iso8601","duration_s":$request_time,"request_id":"$request_id",'
        '"remote":"$remote_addr","method":"$request_method","host":"$host","path":"$uri","status":$status,'
        '"received_bytes":$request_length,"sent_bytes":$bytes_sent,"tenant":"$tenant","subject":"$key_id"}}';
    lua_package_path "{lua}/?.lua;;";
    lua_shared_dict hosts 16m;
    lua_shared_dict keys 32m;
    lua_shared_dict metrics 1m;
    init_by_lua_block {{
        gateway = require "gateway"
        gateway.redis_port, gateway.script = {redis_port}, "{script}"
        gateway.interval_us, gateway.burst = {interval_us}, {rate}
        gateway.policy = '"per-key";q={rate};w=1'
    }}
    init_worker_by_lua_block {{ gateway.start_worker() }}
    upstream web {{ server 127.0.0.1:{origin_port}; keepalive 256; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        access_log {folder}/access.log line buffer=64k flush=1s;
        set $tenant "";
        set $key_id "";
        location / {{
            access_by_lua_block {{ gateway.access() }}
            log_by_lua_block {{ gateway.log() }}
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Request-ID $request_id;
            proxy_set_header X-Tenant $tenant;
            proxy_set_header X-Subject $key_id;
            add_header X-Request-ID $request_id;
            proxy_pass http://web;
        }}
    }}
    server {{
        listen 127.0.0.1:{metrics_port};
        location = /metrics {{ content_by_lua_block {{ gateway.metrics() }} }}
    }}
"""


def version() -> str | None:
    """Say which nginx and which Redis these are, None without the two modules or without a Redis."""
    modules, nginx = nginx_modules(), nginx_version()
    try:
        redis = said_by([str(find_redis_binary()), "--version"]).partition("v=")[2].partition(" ")[0]
    except RedisBinaryError:
        return None
    if modules is None or nginx is None or not all((modules / name).exists() for name in NAMES):
        return None
    return f"{nginx} with Redis {redis}"


@asynccontextmanager
async def start(stage: Stage, tenants: int) -> AsyncIterator[Running]:
    """Write hosts and keys to a Redis of its own, then run it with one worker."""
    modules = nginx_modules()
    if modules is None or find_program("nginx") is None:
        raise StartError("there is no nginx with Lua")
    with RedisProcess(stage.folder / "redis") as redis:
        everybody = members(tenants)
        async with connect(redis.url, "control") as client:
            script = await client.ask("SCRIPT", "LOAD", (FOLDER / "limit.lua").read_text())
            await _put_all(client, everybody)
        port = free_port()
        http = CHECKED.format(
            folder=stage.folder,
            lua=FOLDER,
            redis_port=redis.port,
            script=script.decode(),
            interval_us=1_000_000 // RATE_PER_S,
            rate=RATE_PER_S,
            origin_port=stage.origin_port,
            port=port,
            metrics_port=free_port(),
        )
        loaded = "\n".join(f"load_module {modules / name};" for name in NAMES)
        callers = callers_of(everybody)
        nginx = running_nginx(stage, http, port, modules=loaded, caller=callers[0])
        async with nginx as started:
            yield Running(started.pid, port, callers, redis.pid, stage.folder / "access.log")


async def _put_all(client: Client, everybody: list[Member]) -> None:
    for start_at in range(0, len(everybody), BATCH):
        batch = everybody[start_at : start_at + BATCH]
        hosts = [text for each in batch for text in (each.host, each.tenant)]
        keys: list[str | bytes] = []
        for each in batch:
            keys += [hash_secret(each.key.text), f"{each.tenant}:{each.key.id}"]
        await asyncio.gather(client.ask("HSET", "hosts", *hosts), client.ask("HSET", "keys", *keys))


SYSTEM = System("nginx+lua", frozenset({"full"}), version, start)
