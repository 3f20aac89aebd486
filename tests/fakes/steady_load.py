"""A steady load on several nodes at once: so many requests a second for so many seconds, whatever becomes of each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

CONNECTIONS = 64
ANSWER_WITHIN_S = 5.0


class SteadyLoad:
    """Requests for a path of a host, offered by many connections that take turns; `answers` counts their statuses.

    A connection that is cut is made anew for its next turn; one whose answer is late misses turns, and makes up for
    them, so that what is offered is what was asked for.
    """

    def __init__(self, ports: Sequence[int], request: bytes, per_second: float) -> None:
        self._ports = ports
        self._request = request
        self._gap_s = CONNECTIONS / per_second
        self.answers: Counter[int] = Counter()
        self.offered = 0

    async def run(self, seconds: float) -> None:
        """Offer the load for so long."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await asyncio.gather(
            *(
                self._client(self._ports[at % len(self._ports)], began_s + at * self._gap_s / CONNECTIONS, seconds)
                for at in range(CONNECTIONS)
            )
        )

    async def _client(self, port: int, turn_s: float, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end_s = turn_s + seconds
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while turn_s < end_s:
                await asyncio.sleep(max(0.0, turn_s - loop.time()))
                turn_s += self._gap_s
                self.offered += 1
                try:
                    async with asyncio.timeout(ANSWER_WITHIN_S):
                        self.answers[await self._ask(reader, writer)] += 1
                except (OSError, asyncio.IncompleteReadError):
                    self.answers[0] += 1
                    writer.close()
                    with suppress(OSError):
                        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        finally:
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        return int(head[9:12])
