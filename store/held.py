"""A lease with the limits it is of and the requests that wait for it."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import NamedTuple

from store.decisions import Decision, Shape, Take, meter_of, names_of, states_of
from store.lease import Lease, Terms, terms_of
from store.meter import Meter
from store.packing import Prepared, prepared
from store.scripts import script


class Plan(NamedTuple):
    """What limits of some shapes come to, whoever is counted by them."""

    meters: tuple[Meter, ...]
    terms: Terms
    arguments: tuple[bytes, ...]
    for_one: Prepared
    """What takes a unit of each, to be spent at once."""


@lru_cache(maxsize=4096)
def plan_of(*shapes: Shape) -> Plan:
    """Make limits ready; ValueError for one that cannot be counted."""
    meters = tuple(meter_of(shape) for shape in shapes)
    arguments = tuple(argument for of in meters for argument in of.arguments)
    return Plan(meters, terms_of(meters), arguments, prepared(script("take"), len(meters), (1, 0, *arguments)))


class Held(Lease):
    """A lease with the limits it is of, and the requests that wait for it."""

    __slots__ = ("arguments", "is_asking", "names", "takes", "tenant", "waiting")

    def __init__(self, tenant: str, takes: tuple[Take, ...]) -> None:
        plan = plan_of(*[take.shape for take in takes])
        super().__init__(plan.meters, plan.terms)
        self.arguments = plan.arguments
        self.tenant = tenant
        self.takes = takes
        self.names = names_of(tenant, takes)
        self.waiting: list[asyncio.Future[Decision | None]] = []
        self.is_asking = False

    def wake(self) -> None:
        """Have the first of those who wait look again, and ask if need be."""
        while self.waiting:
            waiter = self.waiting.pop(0)
            if not waiter.done():
                waiter.set_result(None)
                return

    def decided(self, now_s: float, *, is_taken: bool) -> Decision:
        """Say what Redis has decided, and where each limit stands by now."""
        states = states_of(self.takes, self.meters, self.states(now_s), is_taken=is_taken)
        return Decision(is_taken, states, 0.0 if is_taken else self.refused_until_s - now_s, "store")
