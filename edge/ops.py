"""The ops listener of a node: is it alive, is it ready, what does it count, what does it serve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from edge.telemetry.metrics import CONTENT_TYPE, Samples, render
from store.setting_values import Address


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node at one moment. `status` is what /status shows; `is_degraded` means it serves, but not all is well."""

    is_ready: bool
    is_draining: bool
    is_degraded: bool
    samples: Samples
    status: Mapping[str, Any]


Look = Callable[[], Awaitable[NodeView]]


class OpsPages:
    """The four pages; `look` must answer within a bounded time, whatever the workers do."""

    def __init__(self, look: Look) -> None:
        self._look = look

    def app(self) -> web.Application:
        """Build the application that serves them."""
        app = web.Application()
        for name in ("livez", "readyz", "metrics", "status"):
            app.router.add_get(f"/{name}", getattr(self, name))
        return app

    async def livez(self, _: web.Request) -> web.Response:
        """Answer 200 as long as the master's event loop turns."""
        return web.json_response({"status": "alive"})

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 while the node can serve: from its first configuration until it drains."""
        view = await self._look()
        word = "draining" if view.is_draining else "ready" if view.is_ready else "starting"
        status = 200 if word == "ready" else 503
        return web.json_response({"status": word, "degraded": view.is_degraded}, status=status)

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer what all workers together count, those that have ended included."""
        view = await self._look()
        return web.Response(body=render(view.samples).encode(), headers={"Content-Type": CONTENT_TYPE})

    async def status(self, _: web.Request) -> web.Response:
        """Answer what the node and each of its workers serves."""
        view = await self._look()
        return web.json_response(view.status)


async def start_ops(look: Look, address: Address) -> tuple[web.AppRunner, Address]:
    """Listen; returns the runner, whose `cleanup()` the caller owes, and where it is bound. Raises OSError."""
    runner = web.AppRunner(OpsPages(look).app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port).start()
    except OSError:
        await runner.cleanup()
        raise
    host, port = runner.addresses[0][:2]
    return runner, Address(host, port)
