"""One control-plane process: the admin API on one address, in front of one store. Any number of them may run.

`python -m tenants.control`, which is `portico control`. Exit status 0 after SIGTERM, 2 when it cannot start.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from typing import NoReturn

from aiohttp import web

from store.catalog import Catalog
from store.client import connect
from store.errors import StoreError
from store.pulse import keep_pulse
from store.sealing import Sealer
from store.setting_values import Address
from store.settings import Settings, SettingsError, load_settings
from tenants.api.app import build_app
from tenants.service import Service

SHUTDOWN_S = 5.0

log = logging.getLogger("portico.control")


class StartFailed(Exception):  # noqa: N818 - the name says what happened
    """The process cannot begin to serve; the message is one line and holds no secret."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    parser = _Parser("portico control", description="Run one control-plane process: the admin API.")
    parser.add_argument("--listen", dest="control_listen", metavar="HOST:PORT", help="where to answer [127.0.0.1:8081]")
    parser.add_argument("--redis", dest="redis_url", metavar="URL", help="the Redis that holds the configuration")
    parser.add_argument("--min-replicas", metavar="N", help="replicas that must have a write to call it durable [0]")
    flags = vars(parser.parse_args(arguments))
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(_run(load_settings("control", flags, os.environ)))
    except (SettingsError, StartFailed) as error:
        sys.stderr.write(f"portico control: {error}\n")
        return 2
    return 0


@contextlib.asynccontextmanager
async def serve(settings: Settings) -> AsyncIterator[str]:
    """Serve the admin API while the context is open; gives its URL. Raises StartFailed."""
    async with contextlib.AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(connect(settings.redis_url, "control"))
            catalog = Catalog(client, min_replicas=settings.min_replicas)
            # A plane that cannot reach its store at the start is misconfigured; later it answers 503 and recovers.
            await client.ping()
            has_token = bool(settings.bootstrap_token or await catalog.list_tokens())
        except (StoreError, ValueError) as error:  # ValueError: replicas cannot be counted on a cluster
            raise StartFailed(f"cannot use the store: {error}") from error
        pulse = asyncio.create_task(keep_pulse(client))
        stack.callback(pulse.cancel)
        sealer = Sealer(settings.secret_keys) if settings.secret_keys else None
        service = Service(client, catalog, settings.bootstrap_token or None, sealer)
        runner = web.AppRunner(build_app(service), access_log=log, shutdown_timeout=SHUTDOWN_S, handle_signals=False)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        url = await _listen(runner, settings.control_listen)
        if not has_token:
            log.warning("there is no token yet: set PORTICO_BOOTSTRAP_TOKEN, or nobody can use this API")
        yield url


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


if __name__ == "__main__":
    sys.exit(main())
