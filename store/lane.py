"""One pipelined connection for the request path.

Many requests share it: each writes its command at once and waits for its own reply, in order. So no request
waits for a free connection, a request that is cancelled leaves nothing behind for the next (its reply is
dropped when it comes, or told to whom it concerns), and a connection that misses one deadline is given up,
with everything that waits on it, and replaced in the background.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from store.connections import connected, disconnected, make_connection
from store.mapping import mapped, store_error
from store.packing import Prepared, packed
from store.scripts import Argument, Ask, Script
from store.wire import GRACE_S, Unwanted, Wire, let_go

Reply = asyncio.Future[Any]


class Lane:
    """The data plane's way to Redis; opens when first needed and again whenever it was lost.

    The pool only makes its connections. The owner owes `aclose()`.
    """

    def __init__(self, pool: ConnectionPool, sentinel: Sentinel | None, connect_timeout_s: float) -> None:
        self._pool = pool
        self._sentinel = sentinel
        self._connect_timeout_s = connect_timeout_s
        self._wire: Wire | None = None
        self._opening: asyncio.Task[None] | None = None
        self._closed = False

    async def attempt(self, talk: Callable[[Ask], Awaitable[Any]], timeout_s: float, *, is_write: bool) -> Any:
        """Let `talk` ask its commands; never takes longer than `timeout_s`. Raises StoreError."""
        deadline = asyncio.get_running_loop().time() + timeout_s - GRACE_S
        with mapped() as progress:
            if self._wire is None:
                await self._connected(deadline)
            progress.sent_write = is_write
            return await talk(partial(self._ask, deadline, None))

    async def run(
        self, script: Script, rest: Sequence[Argument], timeout_s: float, unwanted: Unwanted | None, *, is_write: bool
    ) -> Any:
        """Run one script, as `attempt` would, by fewer calls; `rest` is how many keys, these and its arguments.

        `unwanted` is told the reply if the request goes before it has seen it. Raises StoreError.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s - GRACE_S
        is_sent = False
        try:
            if self._wire is None:
                await self._connected(deadline)
            is_sent = is_write
            try:
                return await self._ask(deadline, unwanted, "EVALSHA", script.sha, *rest)
            except NoScriptError:  # it was not run: sending it again is safe
                return await self._ask(deadline, unwanted, "EVAL", script.source, *rest)
        except (RedisError, OSError, TimeoutError) as error:
            raise store_error(error, is_sent) from error

    def submit(self, prepared: Prepared, keys: Sequence[str], timeout_s: float, unwanted: Unwanted) -> Reply | None:
        """Send one script at once, where a connection is open; its reply may be an error, which is not raised.

        A future alone: each coroutine between a request and its reply costs as much as packing the command.
        """
        wire = self._wire
        if wire is None:
            return None
        return wire.ask(prepared.with_keys(keys), asyncio.get_running_loop().time() + timeout_s - GRACE_S, unwanted)

    async def new_connection(self) -> AbstractConnection:
        """Return a fresh, unconnected connection of the caller's own."""
        return make_connection(self._pool)

    async def aclose(self) -> None:
        """Close; safe to call twice. What still waits is told that the connection was lost."""
        self._closed = True
        if self._wire is not None:
            self._wire.give_up()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._sentinel:
            await self._sentinel.aclose()

    async def _ask(self, deadline: float, unwanted: Unwanted | None, *args: Any) -> Any:
        wire = self._wire
        if wire is None:
            raise RedisConnectionError("the connection was lost")
        reply = wire.ask(packed(args), deadline, unwanted)
        try:
            found = await reply
        except asyncio.CancelledError:
            let_go(reply, unwanted)
            raise
        if isinstance(found, Exception):
            raise found
        return found

    async def _connected(self, deadline: float) -> None:
        if self._closed:
            raise RedisConnectionError("closed")
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open())
            self._opening.add_done_callback(_retrieve)
        # Shielded: a handshake slower than one request's deadline must still be finished for the next ones.
        async with asyncio.timeout_at(deadline):
            await asyncio.shield(self._opening)

    async def _open(self) -> None:
        connection = make_connection(self._pool)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await connected(connection)
        except BaseException:
            await disconnected(connection)
            raise
        self._wire = Wire(connection, self._lost)

    def _lost(self, wire: Wire) -> None:
        if self._wire is wire:
            self._wire = None


def _retrieve(task: asyncio.Task[None]) -> None:
    # Its waiters may all have run out of time; asyncio would then complain that nobody looked at the outcome.
    if not task.cancelled():
        task.exception()
