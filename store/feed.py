"""When to look for changes. The message is a hint, the revision is the truth.

A message only says that it is worth asking `changes_since`; so a lost message, a lost connection or a lost
Redis costs lateness and never a change: whoever follows the feed is woken at the start, by every message,
after every reconnect and at least once a second in any case.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Literal

from store import keys
from store.client import Client
from store.codec import CodecError, unpack_fields
from store.errors import StoreRefused, StoreUnavailable
from store.subscription import Subscription

Reason = Literal["start", "message", "reconnect", "poll"]
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True)
class Tick:
    """What a commit published: `mode` is put, drop or keep (only API keys changed)."""

    revision: int
    tenant: str
    mode: str


@dataclass(frozen=True)
class WakeUp:
    """A reason to look; `messages` are those that came together, undecoded."""

    reason: Reason
    messages: tuple[bytes, ...] = field(default=(), repr=False)

    def ticks(self) -> tuple[Tick, ...]:
        """Decode the messages; one that is not a tick is left out."""
        return tuple(tick for message in self.messages if (tick := read_tick(message)))


class Feed:
    """Follows the commits of all tenants over a connection of its own, or what another channel tells.

    `poll_s`: the longest time without a wake-up, in seconds; twice that while Redis is away.
    """

    def __init__(self, client: Client, *, poll_s: float = 1.0, channel: str | None = None) -> None:
        self._client = client
        self._poll_s = poll_s
        self._channel = channel or keys.tick_channel()

    async def wake_ups(self) -> AsyncGenerator[WakeUp, None]:
        """Yield for ever: at the start, on messages, after a reconnect, and every `poll_s` at the latest.

        Never raises on a lost Redis: it goes on yielding polls, and one reconnect when it is back. Messages
        that come while the caller is busy are yielded together. The caller owes `aclosing`, or to be
        cancelled.
        """
        loop = asyncio.get_running_loop()
        yield WakeUp("start")
        reason: Reason = "start"
        looked_at_s = loop.time()
        attempt = 0
        while True:
            try:
                async with Subscription(self._client, self._channel, within_s=self._poll_s) as subscription:
                    yield WakeUp(reason)  # what was published before we listened is found by looking now
                    reason, attempt = "reconnect", 0
                    while True:
                        messages = await subscription.next_batch(self._poll_s)
                        looked_at_s = loop.time()
                        yield WakeUp("message" if messages else "poll", tuple(messages))
            except (StoreUnavailable, StoreRefused):
                pause_s = min(pause_before(attempt), max(0.0, looked_at_s + self._poll_s - loop.time()))
                attempt += 1
            await asyncio.sleep(pause_s)
            if loop.time() >= looked_at_s + self._poll_s:
                looked_at_s = loop.time()
                yield WakeUp("poll")


def pause_before(attempt: int, draw: float | None = None) -> float:
    """Return how long to wait before connecting again, in seconds: full jitter, 50 ms doubling to 1 s.

    `draw` (0..1) stands in for chance.
    """
    longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * float(2 ** min(attempt, 10)))
    chance = random.random() if draw is None else draw  # noqa: S311 - spreads load, guards nothing
    return longest_s * chance


def read_tick(message: bytes) -> Tick | None:
    """Read what lua/commit.lua published, or None when it is something else."""
    try:
        found = unpack_fields(message)
        return Tick(int(found["revision"]), str(found["tenant"]), str(found["mode"]))
    except (CodecError, KeyError, TypeError, ValueError):
        return None
