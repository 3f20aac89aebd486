"""Commands and replies on one connection to Redis, in step: the protocol under the request path's lane.

redis-py opens the connection and logs in; then its transport is ours. Commands of one turn of the loop leave in one
write, and replies are parsed where they arrive: a command costs a future and no task, no timer and no stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
from redis._parsers.base import BaseParser
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

GRACE_S = 0.005

Unwanted = Callable[[Any], None]
"""Is told a reply that nobody waits for any more, an error as well."""


def let_go(reply: asyncio.Future[Any], unwanted: Unwanted | None) -> None:
    """Tell of a reply that came, where who waited for it was cancelled before seeing it; `Wire` tells of all others."""
    if unwanted is not None and reply.done() and not reply.cancelled():
        unwanted(reply.result())


class Wire(asyncio.Protocol):
    """Takes a connected connection over; `ask` until `is_lost`. `on_lost` is called once, whoever ended it.

    The caller owes `give_up`. Replies that are errors are set as results, not raised, so that nobody need look at
    those of requests that have gone.
    """

    def __init__(self, connection: AbstractConnection, on_lost: Callable[[Wire], None]) -> None:
        writer = connection._writer
        assert writer is not None
        self.is_lost = False
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._owed: deque[tuple[asyncio.Future[Any], float, Unwanted | None]] = deque()
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=BaseParser.parse_error)
        self._transport: asyncio.WriteTransport = writer.transport
        self._before = self._transport.get_protocol()
        self._transport.set_protocol(self)
        # Kept, because a stream that is let go of closes its transport; and out of the connection's hands.
        self._streams = connection._reader, writer
        connection._reader = connection._writer = None

    def ask(self, packed: bytes, deadline_s: float, unwanted: Unwanted | None = None) -> asyncio.Future[Any]:
        """Send a command; gives its reply's future, which is done shortly after the deadline at the latest.

        Deadlines of later commands may not be earlier. `unwanted` is told the reply if the future was cancelled, and
        not if no reply comes.
        """
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._owed.append(
            (reply, deadline_s, unwanted)
        )  # with the write that follows, so replies and commands stay in step
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(packed)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline_s, self._check_deadline)
        return reply

    def give_up(self) -> None:
        """End the connection at once; what still waits is told that it was lost."""
        self._lose(RedisConnectionError("the connection was lost"))
        self._transport.abort()

    # -- the event loop's calls --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        reader, owed = self._reader, self._owed
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                waiter, _, unwanted = owed.popleft()
                if not waiter.done():
                    waiter.set_result(reply)
                elif unwanted is not None:
                    unwanted(reply)
                if isinstance(reply, ReadOnlyError):
                    self.give_up()  # a demoted master: the next connection may find the new one
                    return
        except (InvalidResponse, IndexError):
            self.give_up()  # IndexError: a reply nobody asked for; the connection is out of step

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(RedisConnectionError("the connection was lost"))
        self._before.connection_lost(exc)  # redis-py's own streams want to know, too

    # -- inside ------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        if not self.is_lost:
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def _check_deadline(self) -> None:
        """Look at the oldest command; the timer is set again for the next one, so there is one at a time."""
        self._timer = None
        if not self._owed:
            return
        due_s = self._owed[0][1]
        now_s = self._loop.time()
        if now_s < due_s:
            self._timer = self._loop.call_at(due_s, self._check_deadline)
        else:
            # Not Redis but this process may be late, and the reply may lie in the socket: look there once more.
            oldest = self._owed[0][0]
            self._timer = self._loop.call_later(GRACE_S, self._expire, oldest)

    def _expire(self, oldest: asyncio.Future[Any]) -> None:
        self._timer = None
        if self._owed and self._owed[0][0] is oldest:
            self._lose(RedisTimeoutError("the deadline has passed"))
            self._transport.abort()
        else:
            self._check_deadline()

    def _lose(self, why: Exception) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        owed, self._owed = self._owed, deque()
        for waiter, _, _ in owed:
            if not waiter.done():
                waiter.set_result(why)
        self._on_lost(self)
