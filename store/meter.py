"""What counts a limit: one value for each kind of it, and what the limiter needs to know of either.

A state is two whole numbers, as lua/take.lua gives them, and means something to its own meter alone: how far the
arrival time is ahead of now, or how much of a window's quota is used and when the window ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

US_PER_S = 1_000_000
MAX_EXACT = 2**53  # a Lua number is a double
LONGEST_LIFE_S = 0.5
MAX_UNITS = 1024
"""No more are counted in one call, whatever a limit would allow."""
SHARE = 4
"""One lease takes no more than this part of what a limit allows at once, and lives no longer than that part of a burst
takes to come back."""

State = tuple[int, int]
Kept = tuple[int, int, int]
"""What Redis keeps of a limit and one of its callers."""
Argument = bytes


class Meter(Protocol):
    """How one limit counts takes of one cost. All of it is pure, and integer arithmetic."""

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The five arguments by which the scripts know it."""

    @property
    def most_ahead(self) -> int:
        """How many units one worker may take ahead of requests."""

    @property
    def most_at_once(self) -> int:
        """How many units can be taken in one call."""

    @property
    def life_s(self) -> float:
        """For how long units may be held."""

    def stepped(self, state: State, units: int = 1) -> State:
        """Give the state after one more take, or so many."""

    def passed(self, state: State, us: int) -> State:
        """Give the state when so much time has passed and nothing was taken."""

    def later(self, state: State, life_us: int) -> State:
        """Give the state from where units count that may be spent within their life."""

    def most(self, state: State, wanted: int, life_us: int) -> int:
        """Say how many units, `wanted` at most, can be taken now to be spent within their life."""

    def is_admitted(self, state: State) -> bool:
        """Say whether there is room for one more take."""

    def remaining(self, state: State) -> int:
        """Say how many takes of cost 1 could follow at once."""

    def wait_us(self, state: State) -> int:
        """Say in how many µs, rounded up, one more take would be admitted; 0: now."""

    def reset_us(self, state: State) -> int:
        """Say in how many µs all of it is there again."""

    def with_left(self, left: int, now_us: int) -> State:
        """Give the state in which so many takes of cost 1 are left, or all that there are."""

    def read(self, kept: Kept | None, now_us: int) -> State:
        """Give the state that was kept; `now_us` is Unix time."""

    def kept(self, state: State, now_us: int) -> Kept:
        """Give what is kept of a state."""

    def units(self, units: int) -> Kept:
        """Say what so many units come to, as lua/give_back.lua takes them back."""

    def owing(self, at_loss: State, since: int, state: State) -> State:
        """Give what `state` is if nothing has come back since `at_loss`, after which so many were taken."""

    def charge(self, seed: State, state: State, whole: Meter, workers: int) -> int:
        """Say what this share of the `whole` owes to it: what was spent of it since `seed` and has not come back."""


def take_all(
    kept: Sequence[Kept | None], meters: Sequence[Meter], now_us: int, wanted: int = 1, life_us: int = 0
) -> tuple[int, list[State], list[Kept]]:
    """Take up to `wanted` units of every limit, of all the same number, or none: what lua/take.lua does in Redis.

    Returns how many, where each limit stood before, and what to keep (empty when refused). One unit is spent at once.
    More may be spent within `life_us`, and count as if they were spent at its end: so in no window more is spent than
    burst + rate x window.
    """
    states = [of.read(each, now_us) for each, of in zip(kept, meters, strict=True)]
    pairs = list(zip(states, meters, strict=True))
    granted = min((of.most(state, wanted, life_us) for state, of in pairs), default=0) if wanted > 1 else 0
    if granted > 1:
        after = [of.stepped(of.later(state, life_us), granted) for state, of in pairs]
    else:
        granted = int(all(of.is_admitted(state) for state, of in pairs))
        after = [of.stepped(state) for state, of in pairs]
    return granted, states, [of.kept(each, now_us) for each, of in zip(after, meters, strict=True)] if granted else []
