"""The edge that is fuzzed: one worker for all examples, in a loop on a thread of its own; what it logs is kept."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import itertools
import logging
import re
import socket
import struct
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import uvloop

from tests.fakes.edges import RunningEdge, running_edge
from tests.fakes.waiting import until
from tests.fuzz.origin import PAUSE_S, StrictOrigin, running_strict_origin
from tests.fuzz.strategies import Attack

HANG_S = 10.0
TICK_S = 0.01
LATE_S = 0.1
DEADLINES = {
    "head_timeout_s": "250ms",
    "body_timeout_s": "300ms",
    "keepalive_timeout_s": "300ms",
    "write_timeout_s": "500ms",
}
TAG = re.compile(rb"\{\{TAG[0-9]\}\}")
_EDGE_TASKS = frozenset({"ClientConnection.start", "_upload"})
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
T = TypeVar("T")


class Violation(AssertionError):  # noqa: N818 - what it is, not an error of the code that finds it
    """A property does not hold; `property_name` says which, in a word."""

    def __init__(self, property_name: str, what: str) -> None:
        super().__init__(f"{property_name}: {what}")
        self.property_name = property_name


class Heard(NamedTuple):
    """What came back on a connection, and how it ended: "eof", "reset", or "ours" when we ended it."""

    data: bytes
    ended: str


class Rig(logging.Handler):
    """One running edge before one strict target. Its calls belong to its loop; `run` is for everybody else."""

    def __init__(self, loop: asyncio.AbstractEventLoop, edge: RunningEdge) -> None:
        super().__init__(logging.ERROR)
        self.edge = edge
        self.origin: StrictOrigin
        self.stopped = asyncio.Event()
        self._loop = loop
        self.sent = 0
        self._lag_s = 0.0
        self._faults: list[str] = []
        self._numbers = itertools.count()
        loop.set_exception_handler(lambda _, context: self._faults.append(str(context)))

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what is logged as an error."""
        self._faults.append(self.format(record))

    def complain(self, fault: str) -> None:
        """Note that the target has received what it should not have."""
        self._faults.append(fault)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the edge's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """End the edge."""
        self._loop.call_soon_threadsafe(self.stopped.set)

    def tagged(self, attack: Attack) -> Attack:
        """Put words that nobody else has in the place of the tags."""
        number = next(self._numbers)
        data = TAG.sub(lambda match: _word(number, match[0]), attack.data)
        ends = list(itertools.accumulate(map(len, attack.segments), initial=0))
        return Attack(tuple(data[start:end] for start, end in itertools.pairwise(ends)), attack.end)

    def was_late(self) -> bool:
        """Say whether the loop stood still since the last time this was asked, so that deadlines may have passed."""
        lag_s, self._lag_s = self._lag_s, 0.0
        return lag_s > LATE_S

    async def watch_the_clock(self) -> None:
        """Measure for how long the loop stands still, until cancelled."""
        while True:
            began_s = self._loop.time()
            await asyncio.sleep(TICK_S)
            self._lag_s = max(self._lag_s, self._loop.time() - began_s - TICK_S)

    async def attacked(self, attack: Attack) -> Heard:
        """Send an attack and hear what comes back until the connection ends. Raises Violation when it does not."""
        self.sent += 1
        with socket.socket() as link:
            link.setblocking(False)
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(link, ("127.0.0.1", self.edge.port))
            heard = bytearray()
            hearing = asyncio.create_task(self._hear(link, heard))
            try:
                is_cut = not await self._send(link, attack)
                if attack.end == "wait" and b" 101 " not in heard[:13]:
                    ended = await _in_time(hearing, heard)
                    ended = "ours" if b" 101 " in heard[:13] else "reset" if is_cut else ended
                    return Heard(bytes(heard), ended)
                if attack.end == "reset":
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                elif attack.end != "close":
                    _shut(link)
                    await _in_time(hearing, heard)
                return Heard(bytes(heard), "ours")
            finally:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until nothing is left of the connections so far. Raises Violation for what stays or was logged."""
        server = self.edge.worker.server
        try:
            await until(lambda: not (server.connections or self._edge_tasks()), HANG_S)
        except TimeoutError:
            raise Violation("left", f"{len(server.connections)} connections, tasks: {self._edge_tasks()}") from None
        faults, self._faults = self._faults, []
        if faults:
            raise Violation("logged", "\n".join(faults))

    def _edge_tasks(self) -> list[str]:
        names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks(self._loop))
        return [name for name in names if name in _EDGE_TASKS]

    async def _send(self, link: socket.socket, attack: Attack) -> bool:
        """Send all segments; False when the edge has reset the connection: that is told once, here or to the reader."""
        for segment in attack.segments:
            try:
                await self._loop.sock_sendall(link, segment)
            except ConnectionError:
                return False
            await asyncio.sleep(PAUSE_S if len(attack.segments) < 10 else 0)
        return True

    async def _hear(self, link: socket.socket, heard: bytearray) -> str:
        while True:
            try:
                data = await self._loop.sock_recv(link, 1 << 16)
            except ConnectionError:
                return "reset"
            if not data:
                return "eof"
            heard += data
            if heard.startswith(b"HTTP/1.1 101 "):
                _shut(link)  # a tunnel ends when its client does


def _word(number: int, tag: bytes) -> bytes:
    return hashlib.sha256(b"%d %b" % (number, tag)).hexdigest()[: len(tag)].encode()


def _shut(link: socket.socket) -> None:
    with suppress(OSError):  # the edge was first
        link.shutdown(socket.SHUT_WR)


async def _in_time(hearing: asyncio.Task[str], heard: bytearray) -> str:
    try:
        return await asyncio.wait_for(asyncio.shield(hearing), HANG_S)
    except TimeoutError:
        raise Violation("hang", f"after {HANG_S} s the connection is open; heard {bytes(heard)!r}") from None


@contextmanager
def running_rig(redis_url: str) -> Iterator[Rig]:
    """Run a rig on a thread until the context ends."""
    ready: concurrent.futures.Future[Rig] = concurrent.futures.Future()
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        living = thread.submit(uvloop.run, _live(redis_url, ready))
        living.add_done_callback(lambda _: ready.cancel())  # it may not get so far, and says why
        try:
            rig = ready.result()
        except concurrent.futures.CancelledError:
            living.result()
            raise
        logging.getLogger().addHandler(rig)
        try:
            yield rig
        finally:
            logging.getLogger().removeHandler(rig)
            rig.stop()
            living.result()


async def _live(redis_url: str, ready: concurrent.futures.Future[Rig]) -> None:
    async with running_edge(redis_url, **DEADLINES) as edge:
        rig = Rig(asyncio.get_running_loop(), edge)
        async with running_strict_origin(rig.complain) as rig.origin:
            await edge.put(document(rig.origin.port))
            watching = asyncio.create_task(rig.watch_the_clock())
            ready.set_result(rig)
            await rig.stopped.wait()
            watching.cancel()


def document(port: int) -> dict[str, Any]:
    """Make the tenant: what follows the letter gets seconds, what follows a script gets less."""
    target = f"http://127.0.0.1:{port}"
    return {
        "tenant": "acme",
        "domains": [{"host": "shop.test", "verified_by": "operator"}],
        "upstreams": {
            "good": {"targets": [target], "response_timeout": "5s", "retry": {"attempts": 0}, "max_connections": 64},
            "evil": {
                "targets": [target],
                "response_timeout": "300ms",
                "idle_timeout": "300ms",
                "retry": {"attempts": 0},
                "max_connections": 64,
            },
        },
        "routes": [
            {"name": "good", "path": "/*", "upstream": "good", "websocket": True},
            {"name": "evil", "path": "/e/*", "upstream": "evil", "websocket": True},
            {"name": "after", "path": "/after/*", "upstream": "evil"},
        ],
    }
