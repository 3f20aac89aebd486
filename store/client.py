"""How the rest of the store talks to Redis: `connect(url, role)` and the Client it returns.

Three roles. `control` (admin API) and `feed` (watcher, fleet reports) are patient: seconds, and one more
try when that is safe. `data` (the request path) is not: 50 ms for everything, no second try, one pipelined
connection, and a breaker for what is looked up (the limits, which run scripts, have their own).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio.connection import AbstractConnection

from store.address import RedisAddress, parse_redis_url
from store.breaker import CLOSED, after_failure, may_try
from store.connections import Timing, connected, disconnected, make_cluster, make_pool
from store.errors import StoreError, StoreUnavailable
from store.lane import Lane, Reply
from store.links import ClusterLink, Link, PoolLink, Talk
from store.mapping import mapped
from store.packing import Prepared
from store.scripts import Argument, Script, ask_script
from store.wire import Unwanted

__all__ = ["PATIENCE", "Client", "Patience", "Role", "connect", "mapped"]

Role = Literal["control", "feed", "data"]
RETRY_PAUSE_S = 0.05
SILENT_PATIENCE_S = 0.1


@dataclass(frozen=True)
class Patience:
    """How long a role waits: `answer_s` for one try, `total_s` for all of them together.

    `slots`: conversations at once, each over its own connection; 0: any number, over one pipelined
    connection. `has_breaker`: whether conversations that fail stop others for a while.
    """

    timing: Timing
    answer_s: float
    total_s: float
    tries: int
    slots: int
    has_breaker: bool = False


PATIENCE: dict[Role, Patience] = {
    "control": Patience(Timing(connect_s=1.0, idle_check_s=15.0), answer_s=2.0, total_s=3.0, tries=2, slots=32),
    "feed": Patience(Timing(connect_s=1.0, idle_check_s=15.0), answer_s=2.0, total_s=3.0, tries=2, slots=8),
    "data": Patience(
        Timing(connect_s=1.0, idle_check_s=0), answer_s=0.05, total_s=0.05, tries=1, slots=0, has_breaker=True
    ),
}


class Client:
    """One process' way to one Redis in one role; made by `connect`. The owner owes `aclose()`."""

    def __init__(self, address: RedisAddress, role: Role) -> None:
        self.address = address
        self.role = role
        self._patience = PATIENCE[role]
        self._link = _make_link(address, self._patience)
        self._closed = False
        self._breaker = CLOSED
        self._is_silent = False
        self._waiting: set[asyncio.Timeout] = set()

    @property
    def is_silent(self) -> bool:
        """Whether Redis is known not to answer (see `pulse`): nobody waits for it then, but for a tenth of a second."""
        return self._is_silent

    @is_silent.setter
    def is_silent(self, value: bool) -> None:
        if value and not self._is_silent:
            due_s = asyncio.get_running_loop().time() + SILENT_PATIENCE_S
            for waiting in self._waiting:
                waiting.reschedule(due_s)
        self._is_silent = value

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Argument] = (),
        unwanted: Unwanted | None = None,
        *,
        is_write: bool = False,
    ) -> Any:
        """Run a script and return its raw reply.

        A script that writes must bear being sent twice with the same arguments, or have the role `data`. With that
        role, but not on a cluster, `unwanted` is told the reply, or the error it is, that comes after a cancellation.
        Raises StoreUnavailable (ambiguous when a write's answer is missing), StoreRefused.
        """
        if isinstance(self._link, Lane):  # the request path: one try, and no call more than it takes
            self._check_open()
            rest = (len(keys), *keys, *args)
            return await self._link.run(script, rest, self._patience.answer_s, unwanted, is_write=is_write)
        return await self._in_time(lambda ask: ask_script(ask, script, keys, args), is_write=is_write)

    def submit(self, prepared: Prepared, keys: Sequence[str], unwanted: Unwanted) -> Reply | None:
        """Send a script on the request path without waiting; its reply, or the error it is, comes with the future.

        `unwanted` is told the reply that comes when the future has been cancelled; for one that is here when the
        request goes, the caller owes `let_go`. None where that is not possible now: `run` then does what it takes.
        """
        if self._closed or not isinstance(self._link, Lane):
            return None
        return self._link.submit(prepared, keys, self._patience.answer_s, unwanted)

    async def ask(self, *args: Argument, is_write: bool = False) -> Any:
        """Send one command and return its raw reply; the same care and errors as `run`."""
        return await self.converse(lambda ask: ask(*args), is_write=is_write)

    async def ping(self) -> None:
        """Return when Redis answers. Raises StoreUnavailable, StoreRefused."""
        await self.ask("PING")

    async def converse(self, talk: Talk, *, is_write: bool = False) -> Any:
        """Let `talk` ask several commands over one connection (on a cluster: one per command)."""
        if not self._patience.has_breaker:
            return await self._in_time(talk, is_write=is_write)
        now_s = asyncio.get_running_loop().time
        is_tried, self._breaker = may_try(self._breaker, now_s())
        if not is_tried:
            raise StoreUnavailable("Redis has not answered, and is not asked for the moment")
        try:
            reply = await self._in_time(talk, is_write=is_write)
        except StoreUnavailable:
            self._breaker = after_failure(self._breaker, now_s())
            raise
        except StoreError:  # a refusal is an answer
            self._breaker = CLOSED
            raise
        self._breaker = CLOSED
        return reply

    async def _in_time(self, talk: Talk, *, is_write: bool) -> Any:
        try:
            async with asyncio.timeout(SILENT_PATIENCE_S if self._is_silent else None) as waiting:
                self._waiting.add(waiting)
                return await self._converse(talk, self._patience, is_write=is_write)
        except TimeoutError as error:
            raise StoreUnavailable("Redis did not answer in time", ambiguous=is_write) from error
        finally:
            self._waiting.discard(waiting)

    async def _converse(self, talk: Talk, patience: Patience, *, is_write: bool) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience.total_s
        is_ambiguous = False
        for tries_left in reversed(range(patience.tries)):
            self._check_open()
            try:
                timeout_s = min(patience.answer_s, deadline - loop.time())
                return await self._link.attempt(talk, timeout_s, is_write=is_write)
            except StoreUnavailable as error:
                is_ambiguous |= error.ambiguous  # once it may have happened, no later failure makes that untrue
                pause_s = random.uniform(0, RETRY_PAUSE_S)  # noqa: S311 - spreads load, guards nothing
                if not tries_left or loop.time() + pause_s >= deadline:
                    raise _final(error, is_ambiguous=is_ambiguous) from error.__cause__
            await asyncio.sleep(pause_s)
        raise AssertionError("every role has at least one try")

    async def open_connection(self) -> AbstractConnection:
        """Return a connected connection of the caller's own, to subscribe with; it owes `disconnect`.

        Raises StoreUnavailable, StoreRefused.
        """
        self._check_open()
        with mapped():
            async with asyncio.timeout(SILENT_PATIENCE_S if self._is_silent else self._patience.total_s):
                connection = await self._link.new_connection()
                try:
                    await connected(connection)
                except BaseException:
                    await disconnected(connection)
                    raise
        return connection

    async def aclose(self) -> None:
        """Close every connection; safe to call twice. Later calls raise StoreUnavailable."""
        self._closed = True
        await self._link.aclose()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Client {self.role} {self.address}>"

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("this client is closed")


def _final(error: StoreUnavailable, *, is_ambiguous: bool) -> StoreUnavailable:
    """Give the error of the last try, ambiguous where any try was."""
    return error if error.ambiguous == is_ambiguous else StoreUnavailable(error.reason, ambiguous=is_ambiguous)


def connect(url: str, role: Role) -> Client:
    """Return a client for a Redis URL of any kind; nothing is sent before the first command.

    The caller owes `aclose()` (or `async with`). Raises BadRedisUrl.
    """
    return Client(parse_redis_url(url), role)


def _make_link(address: RedisAddress, patience: Patience) -> Link:
    if address.kind == "cluster":
        return ClusterLink(make_cluster(address, patience.timing))
    pool, sentinel = make_pool(address, patience.timing)
    if patience.slots:
        return PoolLink(pool, sentinel, patience.slots)
    return Lane(pool, sentinel, patience.timing.connect_s)
