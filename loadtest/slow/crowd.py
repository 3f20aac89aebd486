"""Many clients on plain sockets, all of them slow: when each began, what it heard, when and how it ended.

One set of epoll beside the event loop watches all of them: a task for each of thousands would be slower than they are.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

AT_ONCE = 50
COME_EVERY_S = 0.05
SLICES = 20
HEARD_BYTES = 16
RECEIVE_BUFFER_BYTES = 4096
SEND_BUFFER_BYTES = 16 * 1024
POUR_EVERY_S = 0.1
STILL_S = 1.0
ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


@dataclass(slots=True)
class SlowClient:
    """One of them; `heard` is how the answer begins, if there was one, `moved_s` when it came, or poured last."""

    link: socket.socket
    moved_s: float
    lasted_s: float = 0.0
    heard: bytes = b""

    @property
    def end(self) -> str:
        """How it ended: with this status, or closed without a word."""
        return self.heard[9:12].decode(errors="replace") if self.heard else "closed"


class Crowd:
    """Clients of one port; the owner owes `close`. Who is not `is_reading` leaves in the socket what is sent to it."""

    def __init__(self, port: int, *, is_reading: bool = True) -> None:
        self._port = port
        self._is_reading = is_reading
        self._loop = asyncio.get_running_loop()
        self._watched = select.epoll()
        self._open: dict[int, SlowClient] = {}
        self.ended: list[SlowClient] = []
        self._has_emptied = asyncio.Event()
        self._loop.add_reader(self._watched.fileno(), self._look)

    @property
    def open(self) -> int:
        """How many have not ended."""
        return len(self._open)

    def ends(self) -> Counter[str]:
        """Count in which ways they ended, those that have not included."""
        return Counter([each.end for each in self.ended] + ["still open"] * self.open)

    def close(self) -> None:
        """Close all that are still open."""
        self._loop.remove_reader(self._watched.fileno())
        self._watched.close()
        for client in self._open.values():
            client.link.close()

    async def come(self, count: int, first: bytes) -> None:
        """Connect so many, a thousand a second, each of which sends this at once; OSError when they cannot."""
        for begin in range(0, count, AT_ONCE):
            pause = asyncio.sleep(COME_EVERY_S)
            await asyncio.gather(pause, *(self._enter(first) for _ in range(min(AT_ONCE, count - begin))))

    async def _enter(self, first: bytes) -> None:
        link = socket.socket()
        link.setblocking(False)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        try:
            if not self._is_reading:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            await self._loop.sock_connect(link, ("127.0.0.1", self._port))
            if first:
                await self._loop.sock_sendall(link, first)
        except BaseException:
            link.close()
            raise
        self._open[link.fileno()] = SlowClient(link, self._loop.time())
        self._watched.register(link, ENDED | (select.EPOLLIN if self._is_reading else 0))

    async def drip(self, data: bytes, every_s: float) -> None:
        """Have each send this once in so long, spread over the time, until all have ended."""
        while self._open:
            links = list(self._open.values())
            for part in range(SLICES):
                for client in links[part::SLICES]:
                    _send(client.link, data)
                await asyncio.sleep(every_s / SLICES)

    async def pour(self, data: bytes) -> None:
        """Have each send as much as is taken, until all have ended."""
        while self._open:
            for client in list(self._open.values()):
                self._pour(client, data)
                await asyncio.sleep(0)
            await asyncio.sleep(POUR_EVERY_S)

    def _pour(self, client: SlowClient, data: bytes) -> None:
        while _send(client.link, data):
            now_s = self._loop.time()
            if now_s - client.moved_s < STILL_S:  # else it is let go of, and what it sends is thrown away
                client.moved_s = now_s

    async def leave(self, timeout_s: float) -> None:
        """Wait until all have ended, or so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._has_emptied.wait(), timeout_s)

    def _look(self) -> None:
        for file, event in self._watched.poll(0):
            client = self._open[file]
            if event & select.EPOLLIN and (data := _received(client.link)):
                client.heard = (client.heard + data)[:HEARD_BYTES]
                continue
            client.lasted_s = self._loop.time() - client.moved_s
            self._watched.unregister(file)
            client.link.close()
            self.ended.append(self._open.pop(file))
        if not self._open:
            self._has_emptied.set()


def _send(link: socket.socket, data: bytes) -> int:
    if link.fileno() < 0:
        return 0
    try:
        return link.send(data)
    except OSError:  # nothing more is taken, or it has ended, which we hear of otherwise
        return 0


def _received(link: socket.socket) -> bytes:
    try:
        return link.recv(4096)
    except OSError:  # cut
        return b""


@contextmanager
def crowd_at(port: int, *, is_reading: bool = True) -> Iterator[Crowd]:
    """Make a crowd, and close what is left of it in the end."""
    crowd = Crowd(port, is_reading=is_reading)
    try:
        yield crowd
    finally:
        crowd.close()
