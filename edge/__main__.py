"""`python -m edge`: one edge node, master and workers. Exit status 0 after a drain, 2 when it cannot start."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from edge.master import Master
from edge.ops import start_ops
from edge.slot import WorkerStartError
from edge.sockets import BindError, address_of, bind_for_workers, reason_of
from edge.tls import CertificateError, server_tls
from edge.worker_process import start_worker
from store.client import connect
from store.errors import StoreError
from store.settings import Settings, SettingsError, add_flags, load_settings

LOG_FORMAT = "portico edge: %(message)s"


class NodeStartError(Exception):
    """The node cannot start; the message is one line for the operator."""


async def run_node(settings: Settings, flags: Mapping[str, Any]) -> None:
    """Run one node until SIGTERM or SIGINT; raises NodeStartError when it cannot start."""
    await _check_store(settings.redis_url)
    try:
        if settings.listen_tls:
            server_tls(Path(settings.tls_cert), Path(settings.tls_key))  # the workers load it; we say what is wrong
        sockets = bind_for_workers((*settings.listen, *settings.listen_tls), settings.workers)
    except (BindError, CertificateError) as error:
        raise NodeStartError(str(error)) from error
    schemes = ["http" for _ in settings.listen] + ["https" for _ in settings.listen_tls]
    where = ", ".join(f"{scheme}://{address_of(sock)}" for scheme, sock in zip(schemes, sockets[0], strict=True))
    master = Master(settings.node, sockets, partial(start_worker, flags=flags), settings.drain_grace_s)
    try:
        ops, ops_address = await start_ops(master.view, settings.ops)
    except OSError as error:
        raise NodeStartError(f"cannot listen on {settings.ops} (ops): {reason_of(error)}") from error
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, master.stop)
    loop.add_signal_handler(signal.SIGINT, master.stop)
    loop.add_signal_handler(signal.SIGHUP, master.roll)
    line = f"{settings.node} serves {where} with {settings.workers} workers, ops on http://{ops_address}"
    announcing = asyncio.create_task(_announce(master, line))
    try:
        await master.run()
    except WorkerStartError as error:
        raise NodeStartError(str(error)) from error
    finally:
        announcing.cancel()
        await ops.cleanup()


def raise_open_files_limit() -> None:
    """Let the node and its workers have as many connections as the system lets us: the usual limit is a shell's."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _check_store(redis_url: str) -> None:
    """Ask before anything is started: without a first configuration there is nothing to serve."""
    try:
        async with connect(redis_url, "control") as client:
            await client.ping()
    except StoreError as error:
        raise NodeStartError(f"cannot use Redis: {error}") from error


async def _announce(master: Master, line: str) -> None:
    await master.served()
    logging.getLogger("portico.master").info(line)


def main(argv: list[str] | None = None) -> int:
    """Read flags and environment, run the node, and say in one line what keeps it from starting."""
    logging.basicConfig(format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("portico").setLevel(logging.INFO)
    parser = argparse.ArgumentParser(prog="portico edge", description="One edge node: a master and its workers.")
    add_flags(parser, "edge")
    flags = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    try:
        settings = load_settings("edge", flags, os.environ)
        raise_open_files_limit()
        uvloop.run(run_node(settings, flags))
    except (SettingsError, NodeStartError) as error:
        print(f"portico edge: {error}", file=sys.stderr)  # noqa: T201 - the command's own words
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
