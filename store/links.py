"""The two patient ways to Redis: a pool of connections, and a cluster. (The impatient one is store/lane.py.)

A link's `attempt` lets one conversation happen over one connection, in bounded time, and says of a failed
write whether it may have happened. It never sends anything twice: that decision is the client's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from redis.asyncio import RedisCluster
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import ReadOnlyError

from store.connections import acquired, checked, disconnected, make_cluster_connection, make_connection
from store.mapping import Progress, mapped
from store.scripts import Ask

Talk = Callable[[Ask], Awaitable[Any]]
LEAST_TALK_S = 1.0


class Link(Protocol):
    """A way to Redis."""

    async def attempt(self, talk: Talk, timeout_s: float, *, is_write: bool) -> Any:
        """Let `talk` ask its commands; never takes longer than `timeout_s`. Raises StoreError."""

    async def new_connection(self) -> AbstractConnection:
        """Return a fresh, unconnected connection of the caller's own. Raises redis' own errors."""

    async def aclose(self) -> None:
        """Close; safe to call twice."""


class PoolLink:
    """A pool of connections to one server, or to the master that Sentinel names.

    `slots` bounds how many conversations go on at once; others wait for one within their own time.
    """

    def __init__(self, pool: ConnectionPool, sentinel: Sentinel | None, slots: int) -> None:
        self._pool = pool
        self._sentinel = sentinel
        self._slots = asyncio.Semaphore(slots)

    async def attempt(self, talk: Talk, timeout_s: float, *, is_write: bool) -> Any:
        """Let `talk` ask its commands; never takes longer than `timeout_s`. Raises StoreError."""
        with mapped() as progress:
            async with asyncio.timeout(timeout_s), self._slots:
                connection = await acquired(self._pool)
                try:
                    await checked(connection)
                    progress.sent_write = is_write
                    return await talk(_asking(connection))
                except ReadOnlyError:
                    await disconnected(connection)  # a demoted master: the next one may be the new one
                    raise
                finally:
                    await self._pool.release(connection)

    async def new_connection(self) -> AbstractConnection:
        """Return a fresh, unconnected connection of the caller's own."""
        return make_connection(self._pool)

    async def aclose(self) -> None:
        """Close; safe to call twice."""
        await self._pool.aclose()
        if self._sentinel:
            await self._sentinel.aclose()


class ClusterLink:
    """A Redis Cluster; finding its slots and connecting to its nodes goes on in the background if it takes long."""

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster = cluster
        self._mapping: asyncio.Task[Any] | None = None
        self._talking: set[asyncio.Task[Any]] = set()

    async def attempt(self, talk: Talk, timeout_s: float, *, is_write: bool) -> Any:
        """Let `talk` ask its commands; never takes longer than `timeout_s`. Raises StoreError."""
        with mapped() as progress:
            # A task of its own: a caller that has no time left, or is gone, must not cut off a handshake that the next
            # one needs; nor a reply, which would cost the connection.
            task = asyncio.create_task(self._talk(talk, progress, max(timeout_s, LEAST_TALK_S), is_write=is_write))
            self._talking.add(task)
            task.add_done_callback(self._forget)
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(task)

    async def new_connection(self) -> AbstractConnection:
        """Return a fresh, unconnected connection to any of the masters. Raises redis' own errors."""
        await self._mapped_slots()
        return make_cluster_connection(self._cluster)

    async def aclose(self) -> None:
        """Close; safe to call twice."""
        tasks = [*self._talking, *([self._mapping] if self._mapping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._cluster.aclose()
        # It closes nothing when its last command failed: the nodes' connections would stay open.
        for nodes in ("nodes_cache", "startup_nodes"):
            await self._cluster.nodes_manager.aclose(nodes)

    async def _talk(self, talk: Talk, progress: Progress, timeout_s: float, *, is_write: bool) -> Any:
        async with asyncio.timeout(timeout_s):
            await self._mapped_slots()
            progress.sent_write = is_write
            return await talk(self._cluster.execute_command)

    async def _mapped_slots(self) -> None:
        if self._mapping is None or (self._mapping.done() and self._failed(self._mapping)):
            self._mapping = asyncio.create_task(self._fetch_map())
        if not self._mapping.done():
            await asyncio.shield(self._mapping)  # one for all who wait

    async def _fetch_map(self) -> None:
        await self._cluster.initialize()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._talking.discard(task)
        self._failed(task)  # looked at, as nobody else may

    @staticmethod
    def _failed(task: asyncio.Task[Any]) -> bool:
        return task.cancelled() or task.exception() is not None


def _asking(connection: AbstractConnection) -> Ask:
    async def ask(*args: Any) -> Any:
        await connection.send_command(*args, check_health=False)
        return await connection.read_response()

    return ask
