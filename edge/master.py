"""The master of a node: it holds the sockets, keeps its workers running, and answers for all of them.

A worker that dies is followed at once by another on the same sockets; one that dies young is followed more slowly
each time; one that is not heard for five seconds is killed. SIGTERM drains, a second one does not wait; SIGHUP
replaces the workers one after the other, each successor serving before its predecessor drains.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from socket import socket

from edge.node_view import NodeState, view_of
from edge.ops import NodeView
from edge.slot import Slot, StartWorker
from edge.telemetry.metrics import merge

ASK_TIMEOUT_S = 0.5
TICK_S = 1.0
DRAIN_SLACK_S = 2.0

log = logging.getLogger("portico.master")


class Master:
    """Runs a node's workers; `run` is its life. `sockets[i]` are worker i's, and closed when the node drains."""

    def __init__(
        self, node: str, sockets: Sequence[Sequence[socket]], start: StartWorker, drain_grace_s: float
    ) -> None:
        self._node = node
        self._drain_grace_s = drain_grace_s
        self._slots = [Slot(index, mine, start) for index, mine in enumerate(sockets)]
        self._started_at_s = time.monotonic()
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._rolling: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep the workers until `stop`. Raises WorkerStartError when the first ones cannot start."""
        keepers = [asyncio.create_task(slot.keep(self._stop)) for slot in self._slots]
        watchdog = asyncio.create_task(self._watch())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stop.set()
            await self._end_workers()
            for task in (watchdog, stopped, self._rolling):
                if task is not None:
                    task.cancel()
        await asyncio.gather(*keepers)

    def stop(self) -> None:
        """Drain and end; called again, end at once."""
        if self._stop.is_set():
            self._stop_now.set()
        self._stop.set()

    def roll(self) -> None:
        """Replace the workers one after the other, unless that is already going on."""
        if self._rolling is None or self._rolling.done():
            self._rolling = asyncio.create_task(self._roll())

    async def served(self) -> None:
        """Return once every worker has served."""
        for slot in self._slots:
            await slot.has_served.wait()

    async def view(self) -> NodeView:
        """Ask all workers how they are, half a second at most, and sum up."""
        workers = await asyncio.gather(*(slot.view(ASK_TIMEOUT_S) for slot in self._slots))
        state = NodeState(
            node=self._node,
            pid=os.getpid(),
            age_s=time.monotonic() - self._started_at_s,
            has_served=all(slot.has_served.is_set() for slot in self._slots),
            is_draining=self._stop.is_set(),
            ended=merge(slot.ended for slot in self._slots),
        )
        return view_of(state, workers)

    async def _roll(self) -> None:
        for slot in self._slots:
            if not self._stop.is_set() and not await slot.replace():
                log.error("a successor of worker %d does not serve; the others stay", slot.index)
                return
        log.info("all workers have been replaced")

    async def _watch(self) -> None:
        """Kill workers that have stopped talking; when we ourselves were late, nobody is to blame."""
        while True:
            due_s = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
            if time.monotonic() - due_s < TICK_S:
                for slot in self._slots:
                    slot.kill_silent()

    async def _end_workers(self) -> None:
        """Drain all of them, and kill what is left after the grace, or at a second `stop`."""
        for slot in self._slots:
            slot.drain()
        ending = asyncio.create_task(self._all_ended())
        hurry = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait(
            [ending, hurry],
            timeout=self._drain_grace_s + DRAIN_SLACK_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        hurry.cancel()
        for slot in self._slots:
            slot.kill()
        await ending

    async def _all_ended(self) -> None:
        for slot in self._slots:
            while slot.living:
                await next(iter(slot.living)).ended.wait()
                await asyncio.sleep(0)  # its slot takes note in a task of its own
