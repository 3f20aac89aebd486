"""Which target gets a request: pure picks among those that may take one.

A candidate is anything with a weight and a number of requests in flight. Every pick gives one of the candidates;
whoever asks leaves out those that may take nothing new, such as those of weight 0, and owes at least one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Protocol, TypeVar


class Candidate(Protocol):
    """What a pick looks at."""

    @property
    def key(self) -> str: ...

    @property
    def weight(self) -> int: ...

    @property
    def in_flight(self) -> int: ...


C = TypeVar("C", bound=Candidate)
Random = Callable[[], float]


class RoundRobin:
    """Smooth weighted round robin, as nginx does it: each candidate gets its share, spread as evenly as can be.

    The state is by key, so it outlives candidates that come and go.
    """

    def __init__(self) -> None:
        self._current: dict[str, int] = {}

    def pick(self, candidates: Sequence[C]) -> C:
        """Give the next in turn."""
        if len(candidates) == 1:
            return candidates[0]
        total = 0
        best, best_current = candidates[0], -math.inf
        for candidate in candidates:
            current = self._current.get(candidate.key, 0) + candidate.weight
            self._current[candidate.key] = current
            total += candidate.weight
            if current > best_current:
                best, best_current = candidate, current
        self._current[best.key] -= total
        return best


def least_requests(candidates: Sequence[C], random: Random) -> C:
    """Give the one with the fewest requests in flight for its weight; equals, and all who are idle, by their weight."""
    lowest = min(_load(candidate) for candidate in candidates)
    return _by_weight([candidate for candidate in candidates if _load(candidate) == lowest], random)


def random_two(candidates: Sequence[C], random: Random) -> C:
    """Draw two by weight and give the less loaded one (Mitzenmacher, "The power of two choices", 2001)."""
    one = _by_weight(candidates, random)
    others = [candidate for candidate in candidates if candidate is not one]
    if not others:
        return one
    other = _by_weight(others, random)
    return one if _load(one) <= _load(other) else other


def by_hash(candidates: Sequence[C], value: str) -> C:
    """Give the same candidate for the same value; one that comes or goes moves only its own share.

    Weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005).
    """
    return max(candidates, key=lambda candidate: (_score(value, candidate), candidate.key))


def _load(candidate: Candidate) -> float:
    return candidate.in_flight / candidate.weight


def _score(value: str, candidate: Candidate) -> float:
    digest = blake2b(f"{value}\0{candidate.key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    uniform = ((int.from_bytes(digest) >> 12) + 0.5) / 2**52  # inside of (0, 1), in a float's precision too
    return -candidate.weight / math.log(uniform)


def _by_weight(candidates: Sequence[C], random: Random) -> C:
    at = random() * sum(candidate.weight for candidate in candidates)
    for candidate in candidates:
        at -= candidate.weight
        if at < 0:
            return candidate
    return candidates[-1]
