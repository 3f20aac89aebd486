"""One worker of a node: its life from the first configuration to the last answer of a drain.

Started by the master as `python -m edge.worker FD`, FD being its end of the channel. It accepts once a configuration
is loaded, and drains on SIGTERM, when the master is gone, and when it can no longer follow the changes.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvloop
from aiohttp import http_parser

from edge.assembly import Worker, assembled
from edge.channel import (
    ChannelError,
    Orders,
    Report,
    State,
    decode_question,
    encode_report,
    open_channel,
    read_orders,
)
from edge.listener import Listener
from edge.tls import CertificateError, TlsDoor, server_tls
from store.errors import BadRedisUrl, StoreError
from store.settings import Settings, SettingsError, load_settings

REPORT_S = 1.0
MAX_UNREAD_BYTES = 1 << 20
LEAVE_TIMEOUT_S = 0.5
COLLECT_AFTER = (10_000, 10, 50)
LAST_WORD_TIMEOUT_S = 1.0

log = logging.getLogger("portico.worker")


class Life:
    """What a worker says to its master, and until when it lives."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stop = asyncio.Event()
        self.state: State = "starting"
        self._reader = reader
        self._writer = writer
        self._worker: Worker | None = None

    async def follow(self, worker: Worker) -> None:
        """Report every second and whenever the master asks; stop when the master is gone."""
        self._worker = worker
        ticking = asyncio.create_task(self._tick())
        try:
            while line := await self._reader.readline():
                self.report(decode_question(line))
        except (ConnectionError, ChannelError) as error:
            log.error("the channel to the master is broken: %s", error)
        finally:
            ticking.cancel()
            self.stop.set()

    async def _tick(self) -> None:
        while True:
            self.report()
            await asyncio.sleep(REPORT_S)

    def report(self, asked: int = 0) -> None:
        """Tell the master how things stand."""
        worker = self._worker
        assert worker is not None
        self._say(Report(self.state, asked, worker.samples(), worker.config()))

    def give_up(self, fault: str) -> None:
        """Tell the master why there is no point in starting."""
        self._say(Report("starting", fault=fault))

    def enter(self, state: State) -> None:
        """Go on to the next state of life, and say so."""
        self.state = state
        self.report()

    def _say(self, report: Report) -> None:
        # A master that does not read must not make this worker grow; it will want the newest report anyway.
        if not self._writer.is_closing() and self._writer.transport.get_write_buffer_size() < MAX_UNREAD_BYTES:
            self._writer.write(encode_report(report))

    async def close(self) -> None:
        """Let the last word out, if the master still listens."""
        self._writer.close()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(LAST_WORD_TIMEOUT_S):
                await self._writer.wait_closed()


async def run_worker(orders: Orders, settings: Settings, link: socket.socket) -> int:
    """Live; returns the exit status: 0 after a drain, 1 when changes can no longer be followed, 2 for a fault."""
    life = Life(*await open_channel(link))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, life.stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # Ctrl-C reaches every process; the master says what follows
    try:
        async with assembled(settings, orders.index) as worker:
            listener = _listener(orders, settings, worker)
            return await _live(worker, life, listener, settings.drain_grace_s)
    except BadRedisUrl as error:
        life.give_up(str(error))
    except CertificateError as error:
        life.give_up(str(error))
    except OSError as error:
        life.give_up(f"cannot write the access log {settings.access_log}: {error.strerror}")
    finally:
        await life.close()
    return 2


def _listener(orders: Orders, settings: Settings, worker: Worker) -> Listener:
    """Make the listener of the sockets that the master has given, those for TLS last. Raises CertificateError."""
    sockets = [socket.socket(fileno=fd) for fd in orders.listen_fds]
    plain = len(settings.listen)
    if len(sockets) == plain:
        return Listener(sockets, worker.server)
    context = server_tls(Path(settings.tls_cert), Path(settings.tls_key))
    door = TlsDoor(worker.server, context, settings.handshake_timeout_s)
    return Listener(sockets[:plain], worker.server, sockets[plain:], door)


async def _live(worker: Worker, life: Life, listener: Listener, drain_grace_s: float) -> int:
    """Load, serve, drain."""
    watching = asyncio.create_task(worker.watcher.run())
    following = asyncio.create_task(life.follow(worker))
    stopped = asyncio.create_task(life.stop.wait())
    loaded = asyncio.create_task(worker.watcher.caught_up.wait())
    try:
        await asyncio.wait([loaded, stopped, watching], return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done() and not watching.done():
            settle_memory()
            await listener.start()
            life.enter("serving")
            await asyncio.wait([stopped, watching], return_when=asyncio.FIRST_COMPLETED)
        has_failed = watching.done()
        if has_failed:
            log.error("the changes can no longer be followed", exc_info=watching.exception())
        life.enter("draining")
        watching.cancel()
        await _leave(worker)
        await listener.drain(drain_grace_s)
        life.report()
        return 1 if has_failed else 0
    finally:
        for task in (watching, following, stopped, loaded):
            task.cancel()
        await asyncio.gather(watching, following, stopped, loaded, return_exceptions=True)


def settle_memory() -> None:
    """Keep the collector of cycles away from what stays: all that the start has made, ten thousand tenants of it.

    With the thresholds that Python begins with, a sixth of a busy worker's time went into looking at objects that live
    on. What a request leaves is freed by reference counts; of cycles there are few, so they can wait a little.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _leave(worker: Worker) -> None:
    """Have nobody wait for this worker's acknowledgements any more; without a store, nobody does."""
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(LEAVE_TIMEOUT_S):
            await worker.fleet.leave(worker.worker_id)


def has_c_parser() -> bool:
    """Say whether aiohttp parses HTTP in C: the edge relies on its strictness, which the other one does not have."""
    return http_parser.HttpRequestParser.__module__ == "aiohttp._http_parser"


def main(arguments: list[str]) -> int:
    """Take the orders and carry them out; returns the exit status."""
    logging.basicConfig(format=f"portico worker {os.getpid()}: %(levelname)s %(message)s", stream=sys.stderr)
    link = socket.socket(fileno=int(arguments[0]))
    try:
        orders = read_orders(link)
        settings = load_settings("edge", orders.flags, os.environ)
        if not has_c_parser():
            raise SettingsError(["aiohttp was installed without its C parser: install one of its binary wheels"])
    except (SettingsError, ChannelError) as error:
        with suppress(OSError):
            link.sendall(encode_report(Report("starting", fault=str(error))))
        return 2
    return uvloop.run(run_worker(orders, settings, link))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
