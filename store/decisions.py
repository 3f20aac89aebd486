"""What is taken from limits, and what becomes of it: the values that a limiter is given and gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from store import keys
from store.gcra import pace
from store.meter import US_PER_S, Meter, State
from store.quota import quota

Source = Literal["store", "local", "open", "closed"]
Shape = tuple[int, float, int, int, str]


class Take(NamedTuple):
    """One limit a request is to be counted against, and the caller's `key`.

    A rate: `units` per `period_s`, `burst` at once. A quota, where there is a `window`: `units` in each of them.
    """

    name: str
    key: str
    units: int
    period_s: float
    burst: int
    on_store_loss: str = "local"
    cost: int = 1
    window: str = ""

    @property
    def shape(self) -> Shape:
        """What of it says how it is counted, whoever it counts."""
        return self.units, self.period_s, self.burst, self.cost, self.window


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


def meter_of(shape: Shape, workers: int = 1) -> Meter:
    """Make what counts takes of a shape; `workers`: one worker's share. ValueError for what cannot be counted."""
    units, period_s, burst, cost, window = shape
    return quota(units, window, cost, workers) if window else pace(units, period_s, burst, cost, workers)


def names_of(tenant: str, takes: Sequence[Take]) -> list[str]:
    """List the keys in Redis of what is to be taken."""
    return [keys.limit(tenant, take.name, take.key) for take in takes]


def states_of(
    takes: Sequence[Take], meters: Sequence[Meter], states: Sequence[State], *, is_taken: bool
) -> tuple[LimitState, ...]:
    """Say where each limit stands by now, and which of them would not have one more where one was refused."""
    if len(takes) == 1:  # as mostly
        return (_state_of(takes[0], meters[0], states[0], is_taken=is_taken),)
    return tuple(
        [_state_of(take, of, each, is_taken=is_taken) for take, of, each in zip(takes, meters, states, strict=True)]
    )


def _state_of(take: Take, of: Meter, state: State, *, is_taken: bool) -> LimitState:
    left, reset_after_s = of.remaining(state), of.reset_us(state) / US_PER_S
    is_admitted = is_taken or of.is_admitted(state)
    return LimitState(take.name, take.units, take.period_s, take.burst, left, reset_after_s, is_admitted)
