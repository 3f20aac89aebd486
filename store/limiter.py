"""Limits that hold across the fleet: one script per request, on Redis' clock, within 50 ms, or without Redis.

While Redis does not answer, each limit does what it declares: `local` (its share, limit / live workers,
counted in this process), `open` (admitted) or `closed` (refused; one such limit refuses the request).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from store import keys
from store.breaker import CLOSED, after_failure, may_try
from store.client import Client
from store.errors import StoreError
from store.gcra import US_PER_S, Ahead, Arrival, Pace, pace, remaining, stepped, take_all, wait_us
from store.scripts import script

Source = Literal["store", "local", "open", "closed"]
CLOSED_RETRY_S = 1.0
MAX_LOCAL_ARRIVALS = 20_000


@dataclass(slots=True)
class Take:
    """One limit a request is to be counted against: `count` per `period_s`, `burst` at once; `key` is the caller's."""

    name: str
    key: str
    count: int
    period_s: float
    burst: int
    on_store_loss: str = "local"
    cost: int = 1


class LimitState(NamedTuple):
    """Where one limit stands after the decision; `admitted` is this limit's own vote."""

    name: str
    limit: int
    period_s: float
    burst: int
    remaining: int
    reset_after_s: float
    admitted: bool


class Decision(NamedTuple):
    """Whether the request may go on; if not, `retry_after_s` says when it could. `source` says who counted."""

    admitted: bool
    states: tuple[LimitState, ...]
    retry_after_s: float
    source: Source

    @property
    def tightest(self) -> LimitState | None:
        """The limit to tell the client about: one that refused, else the one with the least left."""
        return min(self.states, key=lambda state: (state.admitted, state.remaining), default=None)


class Limiter:
    """Counts takes in Redis, and by itself while Redis is lost.

    `client` has the role `data`; `live_workers` says among how many the limits are shared when counted
    locally; `now` is a monotonic clock in seconds.
    """

    def __init__(
        self, client: Client, live_workers: Callable[[], int], now: Callable[[], float] = time.monotonic
    ) -> None:
        if client.role != "data":
            raise ValueError("the limiter needs a client of the role 'data': it must not wait")
        self._client = client
        self._live_workers = live_workers
        self._now = now
        self._breaker = CLOSED
        self._arrivals: dict[str, Arrival] = {}

    @property
    def is_store_lost(self) -> bool:
        """Whether the next limit would be decided without Redis."""
        return not may_try(self._breaker, self._now())[0]

    async def take(self, tenant: str, takes: Sequence[Take]) -> Decision:
        """Take one from every limit, or none of them; never raises for a lost store, never waits more than 50 ms.

        Raises ValueError for a limit that cannot be counted (see `gcra.pace`).
        """
        if not takes:
            return Decision(True, (), 0.0, "store")
        paces = [pace(take.count, take.period_s, take.burst, take.cost) for take in takes]
        names = [keys.limit(tenant, take.name, take.key) for take in takes]
        if self._breaker is not CLOSED:
            is_tried, self._breaker = may_try(self._breaker, self._now())
            if not is_tried:
                return self._without_store(takes, names)
        args = paces[0].arguments if len(paces) == 1 else [argument for each in paces for argument in each.arguments]
        try:
            reply = await self._client.run(script("gcra"), names, args, is_write=True)
        except StoreError:
            self._breaker = after_failure(self._breaker, self._now())
            return self._without_store(takes, names)
        if self._breaker is not CLOSED:
            self._breaker = CLOSED
        ahead = list(zip(reply[2::2], reply[3::2], strict=True))
        return _decision(takes, paces, ahead, is_taken=reply[0] == 1, source="store")

    def _without_store(self, takes: Sequence[Take], names: Sequence[str]) -> Decision:
        policies = {take.on_store_loss for take in takes}
        if "closed" in policies:
            return Decision(False, (), CLOSED_RETRY_S, "closed")
        counted = [at for at, take in enumerate(takes) if take.on_store_loss == "local"]
        if not counted:
            return Decision(True, (), 0.0, "open")
        return self._take_locally([takes[at] for at in counted], [names[at] for at in counted])

    def _take_locally(self, takes: Sequence[Take], names: Sequence[str]) -> Decision:
        now_us = int(self._now() * US_PER_S)
        workers = max(1, self._live_workers())
        paces = [pace(take.count, take.period_s, take.burst, take.cost, workers) for take in takes]
        is_taken, ahead, kept = take_all([self._arrivals.get(name) for name in names], paces, now_us)
        for name, arrival in zip(names, kept, strict=False):
            self._arrivals.pop(name, None)  # so that the dictionary stays in the order of use
            self._arrivals[name] = arrival
        while len(self._arrivals) > MAX_LOCAL_ARRIVALS:
            del self._arrivals[next(iter(self._arrivals))]
        return _decision(takes, paces, ahead, is_taken=is_taken, source="local")


def _decision(
    takes: Sequence[Take], paces: Sequence[Pace], ahead: Sequence[Ahead], *, is_taken: bool, source: Source
) -> Decision:
    states, retry_us = [], 0
    for take, of, before in zip(takes, paces, ahead, strict=True):
        after = stepped(before, of)
        fits = after <= of.slack
        if not is_taken:
            retry_us = max(retry_us, wait_us(before, of))
            after = before
        left, reset_s = remaining(after, of), after[0] / US_PER_S
        states.append(LimitState(take.name, take.count, take.period_s, take.burst, left, reset_s, fits))
    return Decision(is_taken, tuple(states), 0.0 if is_taken else retry_us / US_PER_S, source)
