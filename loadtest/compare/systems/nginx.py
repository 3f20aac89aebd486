"""nginx, forwarding."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loadtest.compare.nginx_server import nginx_version, running_nginx
from loadtest.compare.processes import free_port
from loadtest.compare.stage import Running, Stage, System

FORWARD = """
    proxy_http_version 1.1;
    proxy_max_temp_file_size 0;
    upstream web {{ server 127.0.0.1:{origin_port}; keepalive 256; }}
    upstream echo {{ server 127.0.0.1:{echo_port}; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_set_header Host $host;
            proxy_set_header Connection "";
            proxy_pass http://web;
        }}
        location = /ws {{
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass http://echo;
        }}
    }}
"""


@asynccontextmanager
async def start(stage: Stage, _tenants: int) -> AsyncIterator[Running]:
    """Run it with one worker."""
    port = free_port()
    http = FORWARD.format(port=port, origin_port=stage.origin_port, echo_port=stage.echo_port)
    async with running_nginx(stage, http, port) as started:
        yield started


SYSTEM = System("nginx", frozenset({"forward", "stream", "websocket", "idle"}), nginx_version, start)
