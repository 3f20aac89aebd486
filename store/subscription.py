"""One channel, listened to over a connection of its own.

redis-py's PubSub reconnects inside `get_message` and says nothing, so a gap goes unnoticed. Here a lost
connection is an error, raised once, and a half-open one is found by asking: who is silent is sent a PING
and must answer it.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

from redis.asyncio.connection import AbstractConnection

from store.client import Client
from store.connections import disconnected
from store.errors import StoreUnavailable
from store.mapping import mapped

SILENCE_S = 1.0
ANSWER_S = 1.5
LEAST_S = 0.005  # what has arrived already is read even if its time is over
MAX_BATCH = 1000


class Subscription:
    """`async with` subscribes; from then on no message is missed until an error says so. One reader at a time.

    `within_s`: how long subscribing may take.
    """

    def __init__(self, client: Client, channel: str, *, within_s: float = 1.0) -> None:
        self._client = client
        self._channel = channel
        self._within_s = within_s
        self._connection: AbstractConnection | None = None
        self._heard_at_s = 0.0
        self._pinged_at_s: float | None = None

    async def __aenter__(self) -> Subscription:
        """Connect and subscribe. Raises StoreUnavailable, StoreRefused."""
        try:
            with mapped():
                async with asyncio.timeout(self._within_s):
                    self._connection = await self._client.open_connection()
                    await self._connection.send_command("SUBSCRIBE", self._channel, check_health=False)
                    await self._connection.read_response(timeout=math.inf, disconnect_on_error=False)
        except BaseException:
            await self.__aexit__()
            raise
        self._heard_at_s, self._pinged_at_s = asyncio.get_running_loop().time(), None
        return self

    async def __aexit__(self, *_: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await disconnected(connection)

    async def next_batch(self, timeout_s: float) -> list[bytes]:
        """Return the messages that are there, waiting for the first up to `timeout_s`; none came: an empty list.

        Raises StoreUnavailable when the connection is lost or silent, and is of no use afterwards.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        with mapped():
            while True:
                wait_s = min(deadline - loop.time(), self._silence_due_s() - loop.time())
                reply = await self._read(max(LEAST_S, wait_s))
                if _is_message(reply):
                    return await self._with_those_behind([reply[2]])
                if reply is None:
                    await self._check_silence()
                    if loop.time() >= deadline:
                        return []

    async def _with_those_behind(self, batch: list[bytes]) -> list[bytes]:
        connection = self._open_connection()
        while len(batch) < MAX_BATCH and await connection.can_read():
            reply = await self._read(ANSWER_S)
            if reply is None:
                break
            if _is_message(reply):
                batch.append(reply[2])
        return batch

    async def _read(self, timeout_s: float) -> Any:
        reply = await self._open_connection().read_response(timeout=timeout_s, disconnect_on_error=False)
        if reply is not None:
            self._heard_at_s, self._pinged_at_s = asyncio.get_running_loop().time(), None
        return reply

    async def _check_silence(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._silence_due_s():
            return
        if self._pinged_at_s is not None:
            raise StoreUnavailable("the subscription's connection is silent")
        self._pinged_at_s = now_s
        await self._open_connection().send_command("PING", check_health=False)

    def _silence_due_s(self) -> float:
        if self._pinged_at_s is not None:
            return self._pinged_at_s + ANSWER_S
        return self._heard_at_s + SILENCE_S

    def _open_connection(self) -> AbstractConnection:
        if self._connection is None:
            raise StoreUnavailable("the subscription is closed")
        return self._connection


def _is_message(reply: Any) -> bool:
    return isinstance(reply, list) and len(reply) == 3 and reply[0] == b"message"
