"""One worker as its master sees it: a process, the channel to it, and the last it said."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from edge.channel import (
    ChannelError,
    Orders,
    Report,
    decode_report,
    encode_orders,
    encode_question,
    open_channel,
)

log = logging.getLogger("portico.master")


class WorkerProcess:
    """A started worker, reaped when it ends; made by `start_worker`.

    `serving` is set once it has said that it serves and never cleared; `ended` is set once it has ended and all
    that it said has been heard, and `status` is then its exit status, negative for a signal.
    """

    def __init__(self, process: Process, writer: asyncio.StreamWriter) -> None:
        self.pid = process.pid
        self.report = Report("starting")
        self.serving = asyncio.Event()
        self.ended = asyncio.Event()
        self.status = 0
        self._process = process
        self._writer = writer
        self._started_at_s = self._heard_at_s = time.monotonic()
        self._asked: dict[int, asyncio.Future[Report]] = {}
        self._numbers = itertools.count(1)
        self._life: asyncio.Task[None] | None = None

    @property
    def age_s(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._started_at_s

    @property
    def silent_s(self) -> float:
        """How long it has not been heard."""
        return time.monotonic() - self._heard_at_s

    async def ask(self, timeout_s: float) -> Report | None:
        """Ask for a report and wait so long at most; None when none came."""
        number = next(self._numbers)
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._writer.write(encode_question(number))
            async with asyncio.timeout(timeout_s):
                return await answer
        except (TimeoutError, ConnectionError, RuntimeError):  # RuntimeError: the channel is closed
            return None
        finally:
            del self._asked[number]

    def drain(self) -> None:
        """Have it end in good order."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def live(self, reader: asyncio.StreamReader) -> None:
        """Begin to take its reports, until it ends."""
        self._life = asyncio.create_task(self._live(reader))

    async def _live(self, reader: asyncio.StreamReader) -> None:
        await self._listen(reader)
        self.status = await self._process.wait()
        self._writer.close()
        self.ended.set()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._hear(decode_report(line))
        except ConnectionError:
            return
        except (ChannelError, ValueError):  # ValueError: a line without an end
            log.exception("worker %d is not understood and is killed", self.pid)
            self.kill()

    def _hear(self, report: Report) -> None:
        self.report = report
        self._heard_at_s = time.monotonic()
        if report.state == "serving":
            self.serving.set()
        answer = self._asked.get(report.asked)
        if answer is not None and not answer.done():
            answer.set_result(report)


async def start_worker(
    index: int, sockets: Sequence[socket.socket], flags: Mapping[str, Any], module: str = "edge.worker"
) -> WorkerProcess:
    """Start worker `index` on these sockets, with the node's flags. Raises OSError when the system has no more."""
    ours, theirs = socket.socketpair()
    listen_fds = tuple(sock.fileno() for sock in sockets)
    with theirs:
        command = (sys.executable, "-m", module, str(theirs.fileno()))
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, pass_fds=(theirs.fileno(), *listen_fds)
            )
        except BaseException:
            ours.close()
            raise
    reader, writer = await open_channel(ours)
    worker = WorkerProcess(process, writer)
    worker.live(reader)
    writer.write(encode_orders(Orders(index, listen_fds, flags)))
    return worker
