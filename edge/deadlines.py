"""How long a client may take over a head, a body, and the reading of an answer: slow ones hold nothing for ever.

Each deadline is of progress, not of the whole, so that a large upload over a thin line is not cut while it keeps its
pace; only a head, which is small, has one clock from its first byte to its last.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from aiohttp.streams import StreamReader

WRITE_LOOKS = 10


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


@dataclass(frozen=True, slots=True)
class Pace:
    """How a body has to come: `timeout_s` between any two of its bytes, and in all `min_rate` bytes a second.

    How long a server waits is its own affair (RFC 9110 section 15.5.9). The rate counts `grace_s` after the first byte
    (who makes a body first and then sends it fast is not slow), and is that of the whole body, without its framing:
    what came faster may be followed by what is slower, so holding a connection costs its rate for as long as it is
    held. It is asked of chunked bodies too, which are the easiest to drip; 0 asks for none, for those whose clients
    stream little for long. A tunnel is no upload and has its own idle deadline.
    """

    timeout_s: float = 30.0
    min_rate: int = 512
    grace_s: float = 10.0

    def behind_at_s(self, begun_at_s: float, body_bytes: int) -> float:
        """Say when a body of which so much is here will have come too slowly if no more comes."""
        return begun_at_s + self.grace_s + body_bytes / self.min_rate if self.min_rate else math.inf


class BodyDeadline:
    """Calls `break_off` with the reason when a body does not keep its pace; `end` stops it.

    Only the time counts in which we read: while the target is slow we do not, and the client cannot be blamed for not
    being read. `pause` and `resume` say so.
    """

    __slots__ = ("_begun_at_s", "_body", "_break_off", "_last_byte_at_s", "_loop", "_pace", "_paused_at_s", "_timer")

    def __init__(self, body: StreamReader, pace: Pace, break_off: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._body = body
        self._pace = pace
        self._break_off = break_off
        self._last_byte_at_s = self._loop.time()
        self._begun_at_s = self._last_byte_at_s if body.total_bytes else None
        self._paused_at_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watch()

    def progressed(self) -> None:
        """Note that bytes have come, be they of the body or of its framing."""
        self._last_byte_at_s = self._loop.time()
        if self._begun_at_s is None:
            self._begun_at_s = self._last_byte_at_s
            self.end()
        if self._timer is None:
            self._watch()

    def pause(self) -> None:
        """Stop the clock; idempotent."""
        if self._paused_at_s is None:
            self._paused_at_s = self._loop.time()

    def resume(self) -> None:
        """Let the clock go on where it stopped; idempotent."""
        if self._paused_at_s is None:
            return
        paused_s = self._loop.time() - self._paused_at_s
        self._paused_at_s = None
        self._last_byte_at_s += paused_s
        if self._begun_at_s is not None:
            self._begun_at_s += paused_s
        if self._timer is None:
            self._watch()

    def end(self) -> None:
        """Stop; idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _dues_s(self) -> tuple[float, float]:
        """Say when the body will have stopped for too long, and when it will have come too slowly."""
        idle_at_s = self._last_byte_at_s + self._pace.timeout_s
        if self._begun_at_s is None:
            return idle_at_s, math.inf
        return idle_at_s, self._pace.behind_at_s(self._begun_at_s, self._body.total_bytes)

    def _watch(self) -> None:
        self._timer = self._loop.call_at(min(self._dues_s()), self._check)

    def _check(self) -> None:
        # Both moments move while bytes come, so the timer is often early; moving it with each of them costs more.
        self._timer = None
        if self._body.is_eof() or self._paused_at_s is not None:
            return
        now_s = self._loop.time()
        idle_at_s, behind_at_s = self._dues_s()
        if now_s < min(idle_at_s, behind_at_s):
            self._watch()
        else:
            self._break_off("the body has stopped" if now_s >= idle_at_s else "the body comes too slowly")


class WriteDeadline:
    """Until it is left, or `end`, calls `cut` when the peer has taken nothing of what is written for so long.

    Nothing tells when it takes something, so it is looked at: ten times in that time, and the end a fifth late at most.
    """

    __slots__ = ("_cut", "_loop", "_taken_at_s", "_timeout_s", "_timer", "_transport", "_unsent_bytes")

    def __init__(self, transport: asyncio.WriteTransport, timeout_s: float, cut: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._timeout_s = timeout_s
        self._cut = cut
        self._unsent_bytes = transport.get_write_buffer_size()
        self._taken_at_s = self._loop.time()
        self._watch()

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Stop the clock; idempotent."""
        self._timer.cancel()

    def _watch(self) -> None:
        self._timer = self._loop.call_later(self._timeout_s / WRITE_LOOKS, self._check)

    def _check(self) -> None:
        left_bytes, now_s = self._transport.get_write_buffer_size(), self._loop.time()
        if left_bytes < self._unsent_bytes:
            self._unsent_bytes, self._taken_at_s = left_bytes, now_s
        elif now_s >= self._taken_at_s + self._timeout_s:
            self._cut()
            return
        self._watch()
