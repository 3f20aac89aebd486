"""One pipelined connection for the request path.

Many requests share it: each writes its command at once and waits for its own reply, in order. So no request
waits for a free connection, a request that is cancelled leaves nothing behind for the next (its reply is
dropped when it comes), and a connection that misses one deadline is given up, with everything that waits on
it, and replaced in the background.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from store.connections import abort, connected, disconnected, make_connection
from store.mapping import mapped
from store.scripts import Ask

GRACE_S = 0.005


@dataclass(eq=False)
class _Link:
    """A connection and who waits for its replies, in the order of their commands."""

    connection: AbstractConnection
    owed: deque[asyncio.Future[Any]] = field(default_factory=deque)


class Lane:
    """The data plane's way to Redis; opens when first needed and again whenever it was lost.

    The pool only makes its connections. The owner owes `aclose()`.
    """

    def __init__(self, pool: ConnectionPool, sentinel: Sentinel | None, connect_timeout_s: float) -> None:
        self._pool = pool
        self._sentinel = sentinel
        self._connect_timeout_s = connect_timeout_s
        self._link: _Link | None = None
        self._opening: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    async def attempt(self, talk: Callable[[Ask], Awaitable[Any]], timeout_s: float, *, is_write: bool) -> Any:
        """Let `talk` ask its commands; never takes longer than `timeout_s`. Raises StoreError."""
        deadline = asyncio.get_running_loop().time() + timeout_s - GRACE_S
        with mapped() as progress:
            if self._link is None:
                async with asyncio.timeout_at(deadline):
                    await self._connected()
            progress.sent_write = is_write
            return await talk(partial(self._ask, deadline))

    async def new_connection(self) -> AbstractConnection:
        """Return a fresh, unconnected connection of the caller's own."""
        return make_connection(self._pool)

    async def aclose(self) -> None:
        """Close; safe to call twice. What still waits is told that the connection was lost."""
        self._closed = True
        tasks = [task for task in (self._opening, self._reading) if task]
        if self._link is not None:
            self._give_up(self._link)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._sentinel:
            await self._sentinel.aclose()

    async def _ask(self, deadline: float, *args: Any) -> Any:
        link = self._link
        if link is None or not link.connection.is_connected:
            raise RedisConnectionError("the connection was lost")
        packed = _packed(args)  # first: what cannot be packed must not be owed a reply
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        link.owed.append(reply)  # no await between this and the write, so replies and commands stay in step
        timer = loop.call_at(deadline, self._overdue, link, reply)
        try:
            await link.connection.send_packed_command(packed, check_health=False)
            found = await reply
        finally:
            timer.cancel()
        if isinstance(found, Exception):
            raise found
        return found

    def _overdue(self, link: _Link, reply: asyncio.Future[Any]) -> None:
        # Not Redis but this process may be late, and the reply may lie in the socket already: look there once more.
        asyncio.get_running_loop().call_later(GRACE_S, self._expire, link, reply)

    def _expire(self, link: _Link, reply: asyncio.Future[Any]) -> None:
        if not reply.done():
            reply.set_result(RedisTimeoutError("the deadline has passed"))
            self._give_up(link)

    async def _connected(self) -> None:
        if self._closed:
            raise RedisConnectionError("closed")
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_retrieve)
        # Shielded: a handshake slower than one request's deadline must still be finished for the next ones.
        await asyncio.shield(self._opening)

    async def _open(self) -> None:
        link = _Link(make_connection(self._pool))
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await connected(link.connection)
        except BaseException:
            await disconnected(link.connection)
            raise
        self._link = link
        self._reading = asyncio.create_task(self._read(link))

    async def _read(self, link: _Link) -> None:
        try:
            while True:
                reply = await _next_reply(link.connection)
                waiter = link.owed.popleft()
                if not waiter.done():
                    waiter.set_result(reply)
                if isinstance(reply, ReadOnlyError):
                    return  # a demoted master: the next connection may find the new one
        except (RedisError, OSError, IndexError):
            return  # IndexError: a reply nobody asked for; the connection is out of step
        finally:
            self._lose(link)
            await disconnected(link.connection)

    def _give_up(self, link: _Link) -> None:
        self._lose(link)
        abort(link.connection)  # its reader ends with it

    def _lose(self, link: _Link) -> None:
        if self._link is link:
            self._link = None
        for waiter in link.owed:
            if not waiter.done():
                waiter.set_result(RedisConnectionError("the connection was lost"))
        link.owed.clear()


def _packed(args: tuple[Any, ...]) -> bytes:
    # In C: redis-py packs in Python, which costs as much as all the rest of a command here.
    try:
        packed: bytes = hiredis.pack_command(args)
    except UnicodeEncodeError:  # bytes of a client that are no UTF-8 come as surrogates
        packed = hiredis.pack_command(tuple(map(_encoded, args)))
    return packed


def _encoded(argument: Any) -> Any:
    return argument.encode("utf-8", "surrogatepass") if isinstance(argument, str) else argument


async def _next_reply(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(timeout=math.inf, disconnect_on_error=False)
    except (ResponseError, AuthenticationError, AuthorizationError, BusyLoadingError) as error:
        return error  # answers, though redis-py counts some of them as lost connections


def _retrieve(task: asyncio.Task[None]) -> None:
    # Its waiters may all have run out of time; asyncio would then complain that nobody looked at the outcome.
    if not task.cancelled():
        task.exception()
