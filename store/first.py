"""Callers who come now and then: Redis is asked for one unit, by as little as it takes, and nothing is held of them.

Most callers are such: for them there is nobody to wait with, and what is taken ahead of requests would be given back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple

from store.client import Client
from store.decisions import Take, names_of
from store.held import plan_of
from store.lane import Reply
from store.meter import Meter, State
from store.wire import Unwanted


class First(NamedTuple):
    """A caller's first asking, on its way."""

    reply: Reply
    name: Hashable
    names: Sequence[str]
    meters: tuple[Meter, ...]
    at_s: float
    unwanted: Unwanted

    def stepped(self, before: Sequence[State]) -> list[State]:
        """Say where each limit stands that stood so before, now that a unit has been taken."""
        if len(before) == 1:
            return [self.meters[0].stepped(before[0])]
        return [of.stepped(each) for of, each in zip(self.meters, before, strict=True)]


class FirstAskings:
    """Asks for callers of whom nothing has been heard for a while, one by one.

    `is_heard_of` says of a limit's name in Redis whether a caller came to it just now; `unwanted` is told what came for
    a request that had gone: the limits' names and meters, and the reply or the error it is.
    """

    def __init__(
        self,
        client: Client,
        now: Callable[[], float],
        is_heard_of: Callable[[str, float], bool],
        unwanted: Callable[[Sequence[str], Sequence[Meter], Any], None],
    ) -> None:
        self._client = client
        self._now = now
        self._is_heard_of = is_heard_of
        self._unwanted = unwanted
        self._asked: set[Hashable] = set()

    def ask(self, tenant: str, takes: tuple[Take, ...]) -> First | None:
        """Ask for a unit of each; None for who has come just now, or where no connection is open.

        The caller owes `is_over` once it has the reply, or waits for it no more.
        """
        names, now_s = names_of(tenant, takes), self._now()
        name: Hashable  # of names, whose hashes Python keeps: those of takes are worked out again each time
        if len(names) == 1:  # as mostly
            name, plan = names[0], plan_of(takes[0].shape)
            is_known = self._is_heard_of(names[0], now_s)
        else:
            name, plan = tuple(names), plan_of(*[take.shape for take in takes])
            is_known = all(self._is_heard_of(each, now_s) for each in names)
        if is_known or name in self._asked:
            return None
        unwanted = partial(self._unwanted, names, plan.meters)
        reply = self._client.submit(plan.for_one, names, unwanted)
        if reply is None:
            return None
        self._asked.add(name)
        return First(reply, name, names, plan.meters, now_s, unwanted)

    def is_over(self, asked: First) -> None:
        """Let others ask for the same caller."""
        self._asked.discard(asked.name)
