"""Sessions that this worker has seen, so that a known caller costs no look-up and outlives the store for a while.

What the store said of a session is good for a minute (or a tenth of its idle time, which reading it puts off); while
the store is lost, for five. A tenant's sessions are forgotten whenever the feed tells that keys or sessions of it have
changed: so a revoked session ends with the revision that revoked it. One that ends by itself, at another worker, is
forgotten as soon as that is heard; after a time in which it could not be heard, every session is asked for again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from store.endings import SessionName, session_name
from store.errors import StoreError
from store.sessions import Kept

Lookup = Callable[[str, str, float], Awaitable[Kept | None]]

MAX_KNOWN = 20_000
CONFIRM_S = 60.0
CONFIRM_SHARE_OF_IDLE = 0.1
GRACE_S = 300.0
ASK_AGAIN_S = 1.0


class Standing(Enum):
    """What a session's last word from the store is worth: all, something while the store is lost, or nothing."""

    FRESH = 1
    GRACE = 2
    OVER = 3


@dataclass(slots=True)
class Seen:
    """A session as the store gave it, when it did, and when somebody used it last; times in seconds of one clock.

    `doubts`: how often all had been doubted by then.
    """

    kept: Kept
    generation: int
    confirmed_s: float
    used_s: float
    doubts: int = 0


def standing(seen: Seen, now_s: float, idle_s: float) -> Standing:
    """Decide what a session may be used for without asking the store."""
    age_s = now_s - seen.confirmed_s
    if now_s - seen.used_s >= idle_s or age_s >= GRACE_S:
        return Standing.OVER
    return Standing.FRESH if age_s < min(CONFIRM_S, idle_s * CONFIRM_SHARE_OF_IDLE) else Standing.GRACE


class KnownSessions:
    """Sessions by tenant and digest of the id, a bounded number; `lookup` asks the store (StoreError: it cannot)."""

    def __init__(
        self, lookup: Lookup, now_s: Callable[[], float] = time.monotonic, *, max_known: int = MAX_KNOWN
    ) -> None:
        self._lookup = lookup
        self._now_s = now_s
        self._max_known = max_known
        self._seen: OrderedDict[SessionName, Seen] = OrderedDict()
        self._generations: dict[str, int] = {}
        self._doubts = 0
        self._asked: dict[SessionName, asyncio.Task[Kept | None]] = {}
        self._lost_until_s = 0.0

    def __len__(self) -> int:
        return len(self._seen)

    def known(self, tenant: str, session_id: str, idle_s: float) -> Kept | None:
        """Give a session that the store has confirmed a moment ago, None for any other."""
        seen = self._find(session_name(tenant, session_id))
        if seen is None or seen.doubts != self._doubts or standing(seen, self._now_s(), idle_s) is not Standing.FRESH:
            return None
        return self._used(seen)

    async def get(self, tenant: str, session_id: str, idle_s: float) -> Kept | None:
        """Give a session, None when there is none any more; StoreError when nobody can tell."""
        name = session_name(tenant, session_id)
        kept = self.known(tenant, session_id, idle_s)
        if kept is not None:
            return kept
        if self._now_s() < self._lost_until_s and (seen := self._in_grace(name, idle_s)):
            return self._used(seen)
        task = self._asked.get(name)
        if task is None:
            task = self._asked[name] = asyncio.create_task(self._ask(name, session_id, idle_s))
            task.add_done_callback(lambda done: self._answered(name, done))
        try:
            return await asyncio.shield(task)  # one waiter's client may go; the others still wait
        except StoreError:
            self._lost_until_s = self._now_s() + ASK_AGAIN_S
            seen = self._in_grace(name, idle_s)
            if seen is None:
                raise
            return self._used(seen)

    def drop(self, tenant: str, session_id: str) -> None:
        """Forget one session: it is over."""
        self.drop_ended(session_name(tenant, session_id))

    def drop_ended(self, name: SessionName) -> None:
        """Forget one session, by its name: it is over."""
        self._seen.pop(name, None)
        self._asked.pop(name, None)

    def doubt(self) -> None:
        """Ask again for every session, which some may have ended unheard; what is known has its grace all the same."""
        self._doubts += 1
        self._asked.clear()  # it may have been read before the ending

    def forget(self, tenant: str) -> None:
        """Ask again for every session of this tenant: some may have been revoked."""
        self._generations[tenant] = self._generations.get(tenant, 0) + 1
        for name in [name for name in self._asked if name.tenant == tenant]:
            del self._asked[name]  # it may have been read before the change: let nobody new wait for it

    def _find(self, name: SessionName) -> Seen | None:
        seen = self._seen.get(name)
        return seen if seen is not None and seen.generation == self._generations.get(name.tenant, 0) else None

    def _in_grace(self, name: SessionName, idle_s: float) -> Seen | None:
        seen = self._find(name)
        return seen if seen is not None and standing(seen, self._now_s(), idle_s) is not Standing.OVER else None

    def _used(self, seen: Seen) -> Kept:
        seen.used_s = self._now_s()
        return seen.kept

    async def _ask(self, name: SessionName, session_id: str, idle_s: float) -> Kept | None:
        generation = self._generations.get(name.tenant, 0)
        kept = await self._lookup(name.tenant, session_id, idle_s)
        if kept is None:
            self._seen.pop(name, None)
        elif generation == self._generations.get(name.tenant, 0) and self._asked.get(name) is asyncio.current_task():
            now_s = self._now_s()
            self._seen[name] = Seen(kept, generation, now_s, now_s, self._doubts)
            self._seen.move_to_end(name)
            if len(self._seen) > self._max_known:
                self._seen.popitem(last=False)
        return kept

    def _answered(self, name: SessionName, task: asyncio.Task[Kept | None]) -> None:
        if self._asked.get(name) is task:
            del self._asked[name]
        if not task.cancelled():
            task.exception()  # its waiters have it; without one, nobody needs to hear of it
