"""The place of one worker in its node: its sockets, the process that holds it, and who follows when that ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from socket import socket

from edge.channel import Report
from edge.node_view import WorkerView
from edge.sockets import close_all
from edge.telemetry.metrics import Samples, lasting, merge
from edge.worker_process import WorkerProcess

YOUNG_S = 5.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
SILENCE_S = 5.0
ROLL_TIMEOUT_S = 60.0

StartWorker = Callable[[int, Sequence[socket]], Awaitable[WorkerProcess]]

log = logging.getLogger("portico.master")


class WorkerStartError(Exception):
    """No worker can start, and neither would another; the message is one line for the operator."""


def next_pause_s(pause_s: float, lived_s: float) -> float:
    """Say how long to wait before a worker that lived so long is followed; `pause_s` was the wait before it."""
    if lived_s >= YOUNG_S:
        return 0.0
    return min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, pause_s * 2))


class Slot:
    """The place of worker `index`. `living` are its processes: the worker, and those it has replaced."""

    def __init__(self, index: int, sockets: Sequence[socket], start: StartWorker) -> None:
        self.index = index
        self.worker: WorkerProcess | None = None
        self.living: set[WorkerProcess] = set()
        self.ended: Samples = {}
        """What processes that have ended had counted."""
        self.has_served = asyncio.Event()
        """Set once a worker of this place has served; never cleared."""
        self.restarts = 0
        self._sockets = tuple(sockets)
        self._start_worker = start
        self._pause_s = 0.0
        self._replaced = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def keep(self, stop: asyncio.Event) -> None:
        """Have a worker here until `stop`. Raises WorkerStartError when the first one cannot start."""
        while not stop.is_set():
            try:
                worker = self.worker = self.worker or await self._start()
                if stop.is_set():
                    worker.kill()  # it came too late to be told to drain, and serves nobody yet
            except OSError as error:
                log.warning("worker %d cannot be started: %s", self.index, error.strerror)
                await self._pause(stop, lived_s=0)
                continue
            self._replaced.clear()
            await _either(worker.ended, self._replaced)
            if worker is not self.worker:
                continue
            self.worker = None
            if worker.report.fault and not self.has_served.is_set():
                raise WorkerStartError(worker.report.fault)
            if not stop.is_set():
                self.restarts += 1
                log.warning("worker %d (pid %d) %s; another follows", self.index, worker.pid, _how(worker))
                await self._pause(stop, worker.age_s)

    async def replace(self) -> bool:
        """Let a new worker serve, then have the old one drain; False, and nothing changed, when it does not serve."""
        old, new = self.worker, await self._start()
        await _either(new.serving, new.ended, timeout_s=ROLL_TIMEOUT_S)
        if new.ended.is_set() or not new.serving.is_set():
            new.kill()
            return False
        self.worker = new
        self._replaced.set()
        if old is not None:
            old.drain()
        return True

    def drain(self) -> None:
        """Accept nothing more and have every process here end in good order."""
        close_all(self._sockets)  # with nobody accepting, better refused than left waiting
        for worker in self.living:
            worker.drain()

    def kill(self) -> None:
        """End every process here at once."""
        for worker in self.living:
            worker.kill()

    def kill_silent(self) -> None:
        """End a worker that served and has not been heard for five seconds; another follows."""
        worker = self.worker
        if worker is not None and worker.serving.is_set() and worker.silent_s > SILENCE_S:
            log.error("worker %d (pid %d) has been silent and is killed", self.index, worker.pid)
            worker.kill()

    async def view(self, timeout_s: float) -> WorkerView:
        """Ask the worker how it is; after the timeout its last report stands for it, marked as silent."""
        worker = self.worker
        report = None if worker is None else await worker.ask(timeout_s)
        if worker is None or worker not in self.living:  # what it counted is among `ended` by now
            return WorkerView(self.index, 0, 0.0, self.restarts, False, Report("starting"))
        return WorkerView(self.index, worker.pid, worker.age_s, self.restarts, report is None, report or worker.report)

    async def _start(self) -> WorkerProcess:
        worker = await self._start_worker(self.index, self._sockets)
        self.living.add(worker)
        for job in (self._note_end(worker), self._note_serving(worker)):
            task = asyncio.create_task(job)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return worker

    async def _note_end(self, worker: WorkerProcess) -> None:
        await worker.ended.wait()
        self.living.discard(worker)
        self.ended = merge([self.ended, lasting(worker.report.samples)])

    async def _note_serving(self, worker: WorkerProcess) -> None:
        await _either(worker.serving, worker.ended)
        if worker.serving.is_set():
            self.has_served.set()

    async def _pause(self, stop: asyncio.Event, lived_s: float) -> None:
        self._pause_s = next_pause_s(self._pause_s, lived_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause_s):
                await stop.wait()


async def _either(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _how(worker: WorkerProcess) -> str:
    how = f"was killed by signal {-worker.status}" if worker.status < 0 else f"ended with {worker.status}"
    return f"{how}: {worker.report.fault}" if worker.report.fault else how
