"""Which API keys were used of late, told to the store once a minute: coarse, and nobody's request waits for it.

It is for people who ask which keys are still in use. So what cannot be told in time is dropped: when Redis is lost, and
when more keys are used in a minute than are noted.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from store.errors import StoreError

INTERVAL_S = 60.0
JITTER = 0.2
MAX_NOTED = 50_000
AT_ONCE = 1000  # a call is a millisecond or two of Redis' time
LAST_WORD_TIMEOUT_S = 1.0

Tell = Callable[[Mapping[str, Sequence[str]]], Awaitable[object]]

log = logging.getLogger("portico.edge")


class KeyUsage:
    """A worker's notes of keys that were used; `tell` gives the store some, by tenant. The owner owes `aclose()`."""

    def __init__(self, tell: Tell, *, interval_s: float = INTERVAL_S, max_noted: int = MAX_NOTED) -> None:
        self._tell = tell
        self._interval_s = interval_s
        self._max_noted = max_noted
        self._noted: set[tuple[str, str]] = set()
        self._telling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell the store once in the interval from now on; call with a running loop."""
        self._telling = asyncio.create_task(self._run())

    def note(self, tenant: str, key_id: str) -> None:
        """Note that a key has let a request pass."""
        if len(self._noted) < self._max_noted:
            self._noted.add((tenant, key_id))

    async def flush(self) -> None:
        """Tell the store what was noted; what it does not take is dropped."""
        noted, self._noted = sorted(self._noted), set()
        for first in range(0, len(noted), AT_ONCE):
            by_tenant: dict[str, list[str]] = {}
            for tenant, key_id in noted[first : first + AT_ONCE]:
                by_tenant.setdefault(tenant, []).append(key_id)
            try:
                await self._tell(by_tenant)
            except StoreError as error:
                log.info("which keys were used is not noted: %s", error)
                return

    async def aclose(self) -> None:
        """Stop, and tell the store the last of it if it listens."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD_TIMEOUT_S):
                await self.flush()

    async def _run(self) -> None:
        while True:
            spread = 1 + JITTER * (2 * random.random() - 1)  # noqa: S311  # so that workers do not tell all at once
            await asyncio.sleep(self._interval_s * spread)
            await self.flush()
