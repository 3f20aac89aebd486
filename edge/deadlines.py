"""How long a client may take over a head, a body, and the reading of an answer: slow ones hold nothing for ever.

Each deadline is of progress, not of the whole, so that a large upload over a thin line is not cut; only a head, which
is small, has one clock from its first byte to its last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from aiohttp.streams import StreamReader


class HeadDeadline:
    """The clock and the size of one head after the other; `refuse` is called with the error's code, once a head.

    It runs from `start` (the connection) or from the first byte of a head, until one is complete.
    """

    __slots__ = ("_loop", "_max_bytes", "_refuse", "_timeout_s", "_timer", "received_bytes")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timeout_s: float, max_bytes: int, refuse: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._refuse = refuse
        self._timer: asyncio.TimerHandle | None = None
        self.received_bytes = 0

    def start(self) -> None:
        """Let the clock run."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_s, self._refuse, "slow_request")

    @property
    def is_running(self) -> bool:
        """Whether a head has begun, or a first one is awaited."""
        return self._timer is not None

    def received(self, count: int) -> None:
        """Count bytes of a head that is not complete with them."""
        self.received_bytes += count
        if self.received_bytes > self._max_bytes:
            self._refuse("headers_too_large")
        else:
            self.start()

    def end(self) -> None:
        """Stop the clock and begin with the next head; idempotent."""
        self.received_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Reading(Protocol):
    """A connection that can say whether it has stopped reading of its own accord."""

    _reading_paused: bool


class BodyDeadline:
    """Calls `break_off` when a body has not grown for so long although we were reading; `end` stops it."""

    __slots__ = ("_body", "_break_off", "_last_byte_at_s", "_loop", "_reading", "_timeout_s", "_timer")

    def __init__(
        self, reading: Reading, body: StreamReader, timeout_s: float, break_off: Callable[[StreamReader], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._reading = reading
        self._body = body
        self._timeout_s = timeout_s
        self._break_off = break_off
        self._last_byte_at_s = self._loop.time()
        self._timer = self._loop.call_later(timeout_s, self._check)

    def progressed(self) -> None:
        """Note that bytes have come."""
        self._last_byte_at_s = self._loop.time()

    def end(self) -> None:
        """Stop; idempotent."""
        self._timer.cancel()

    def _check(self) -> None:
        if self._body.is_eof():
            return
        now_s = self._loop.time()
        # While the target is slow we do not read, and the client cannot be blamed for not being read.
        due_at_s = (now_s if self._reading._reading_paused else self._last_byte_at_s) + self._timeout_s
        if now_s >= due_at_s:
            self._break_off(self._body)
        else:
            self._timer = self._loop.call_at(due_at_s, self._check)


class WriteDeadline:
    """While entered, calls `cut` when the peer has taken nothing of what is written for so long."""

    __slots__ = ("_cut", "_loop", "_timeout_s", "_timer", "_transport", "_unsent_bytes")

    def __init__(self, transport: asyncio.WriteTransport, timeout_s: float, cut: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._timeout_s = timeout_s
        self._cut = cut
        self._unsent_bytes = transport.get_write_buffer_size()
        self._timer = self._loop.call_later(timeout_s, self._check)

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        left_bytes = self._transport.get_write_buffer_size()
        if left_bytes >= self._unsent_bytes:
            self._cut()
            return
        self._unsent_bytes = left_bytes
        self._timer = self._loop.call_later(self._timeout_s, self._check)
