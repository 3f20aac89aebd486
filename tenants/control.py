"""One control-plane process: the admin API on one address, in front of one store. Any number of them may run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator

from aiohttp import web

from store.catalog import Catalog
from store.client import connect
from store.errors import StoreError
from store.fleet import Fleet
from store.setting_values import Address
from store.settings import Settings
from tenants.api.app import build_app
from tenants.service import Service

SHUTDOWN_S = 5.0

log = logging.getLogger("portico.control")


class StartFailed(Exception):  # noqa: N818 - the name says what happened
    """The process cannot begin to serve; the message is one line and holds no secret."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. StartFailed when the store or the address cannot be had."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_run(settings))


@contextlib.asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[str]:
    """Serve the admin API while the context is open; gives its URL. Raises StartFailed."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(connect(settings.redis_url, "control"))
            # A plane that cannot reach its store at the start is misconfigured; later it answers 503 and recovers.
            await client.ping()
        except StoreError as error:
            raise StartFailed(f"cannot use the store: {error}") from error
        service = Service(Catalog(client), Fleet(client), settings.bootstrap_token or None)
        runner = web.AppRunner(build_app(service), access_log=log, shutdown_timeout=SHUTDOWN_S, handle_signals=False)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        yield await _listen(runner, settings.control_listen)


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serve(settings) as url:
        sys.stderr.write(f"portico control: admin API at {url}, documentation at {url}/v1/docs\n")
        sys.stderr.flush()
        await stop.wait()


async def _listen(runner: web.AppRunner, address: Address) -> str:
    site = web.TCPSite(runner, address.host, address.port)
    try:
        await site.start()
    except OSError as error:
        # the error's own text repeats the address, and more
        raise StartFailed(f"cannot listen on {address}: {os.strerror(error.errno or 0)}") from error
    host, port = runner.addresses[0][:2]
    return f"http://{Address(host, port)}"
