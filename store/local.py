"""Limits counted by this process alone, while Redis is lost: each its share of them, by the same algorithm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from store.decisions import Decision, Take, states_of
from store.gcra import US_PER_S, Ahead, Arrival, Pace, pace, stepped, take_all, wait_us

CLOSED_RETRY_S = 1.0
MAX_LOCAL_ARRIVALS = 20_000


class LocalCounts:
    """Decides as limits declare: `local` counts here, shared among `live_workers`, `open` admits, `closed` refuses."""

    def __init__(self, live_workers: Callable[[], int], now: Callable[[], float]) -> None:
        self._live_workers = live_workers
        self._now = now
        self._arrivals: dict[str, Arrival] = {}

    def take(self, takes: Sequence[Take], names: Sequence[str]) -> Decision:
        """Take one from every limit, or none; one that is closed refuses the request."""
        policies = {take.on_store_loss for take in takes}
        if "closed" in policies:
            return Decision(False, (), CLOSED_RETRY_S, "closed")
        counted = [at for at, take in enumerate(takes) if take.on_store_loss == "local"]
        if not counted:
            return Decision(True, (), 0.0, "open")
        return self._count([takes[at] for at in counted], [names[at] for at in counted])

    def _count(self, takes: Sequence[Take], names: Sequence[str]) -> Decision:
        now_us = int(self._now() * US_PER_S)
        workers = max(1, self._live_workers())
        paces = [pace(take.units, take.period_s, take.burst, take.cost, workers) for take in takes]
        is_taken, ahead, kept = take_all([self._arrivals.get(name) for name in names], paces, now_us)
        for name, arrival in zip(names, kept, strict=False):
            self._arrivals.pop(name, None)  # so that the dictionary stays in the order of use
            self._arrivals[name] = arrival
        while len(self._arrivals) > MAX_LOCAL_ARRIVALS:
            del self._arrivals[next(iter(self._arrivals))]
        return _decided(takes, paces, ahead, is_taken=bool(is_taken))


def _decided(takes: Sequence[Take], paces: Sequence[Pace], ahead: Sequence[Ahead], *, is_taken: bool) -> Decision:
    """Put a local decision together; `ahead` is where each limit stood before it."""
    if is_taken:
        after = [stepped(each, of) for each, of in zip(ahead, paces, strict=True)]
        return Decision(True, states_of(takes, paces, after, is_taken=True), 0.0, "local")
    retry_us = max(wait_us(each, of) for each, of in zip(ahead, paces, strict=True))
    return Decision(False, states_of(takes, paces, ahead, is_taken=False), retry_us / US_PER_S, "local")
