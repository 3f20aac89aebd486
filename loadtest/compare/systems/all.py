"""Every system that can be compared, by its name."""

from __future__ import annotations

from loadtest.compare.stage import System
from loadtest.compare.systems import aiorp, caddy, envoy, haproxy, nginx, nginx_lua, portico

SYSTEMS: dict[str, System] = {
    each.name: each
    for each in (
        nginx.SYSTEM,
        haproxy.SYSTEM,
        caddy.SYSTEM,
        envoy.SYSTEM,
        nginx_lua.SYSTEM,
        aiorp.SYSTEM,
        portico.SYSTEM,
    )
}
