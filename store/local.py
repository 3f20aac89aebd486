"""Limits counted by this process alone, while Redis is lost: each its share of them, by the same algorithms.

A share begins with its part of what was left when Redis was last heard of, and what was spent of it is owed to Redis
when that is back. Of callers this worker has not heard of it knows nothing, and gives them its part of a limit at rest;
nor does it know what others took since it last heard of one. So an outage can make a limit wider, by each worker's part
of the whole limit at most, and not at all where each worker knows what was taken; but that a share is one request at
least: a limit that has less than one for each worker admits up to one for each of them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat

from store.decisions import Decision, LimitState, Take, meter_of, states_of
from store.meter import US_PER_S, Kept, Meter, State, take_all

CLOSED_RETRY_S = 1.0
MAX_LOCAL_COUNTS = 20_000
MAX_DEBTS_IN_ONE = 200
MAX_REMEMBERED = 50_000
LATELY_S = 1.0


Stood = tuple[Meter, State, float]
"""Where a limit stood, by its own meter, at a time of the monotonic clock."""


@dataclass(slots=True)
class Share:
    """One worker's share of one limit and caller: what is kept of it, and from where it began.

    `at_loss` is where it stood when Redis was last known to be lost, at `lost_us`; `since`, how many were taken after.
    """

    kept: Kept
    began: State
    meter: Meter
    whole: Meter
    workers: int
    at_loss: State
    lost_us: int
    since: int = 0

    def noted(self, lost_us: int) -> Share:
        """Note that Redis was still lost at a time."""
        if self.lost_us != lost_us:
            self.at_loss, self.lost_us, self.since = self.meter.read(self.kept, lost_us), lost_us, 0
        return self

    def owing(self, now_us: int) -> State:
        """Say where it stands with what is owed: as if nothing had come back since Redis was last known to be lost.

        It may have been there since, and have given others what came back here as well.
        """
        return self.meter.owing(self.at_loss, self.since, self.meter.read(self.kept, now_us))


@dataclass(frozen=True, slots=True)
class Debts:
    """What is owed to some limits of one tenant, for lua/charge.lua: their names in Redis, and six arguments each."""

    names: tuple[str, ...]
    arguments: tuple[bytes, ...]


def _left(share: Share, now_us: int) -> int:
    return share.meter.remaining(share.meter.read(share.kept, now_us))


class LocalCounts:
    """Decides as limits declare: `local` counts here, shared among `live_workers`, `open` admits, `closed` refuses."""

    def __init__(self, live_workers: Callable[[], int], now: Callable[[], float]) -> None:
        self._live_workers = live_workers
        self._now = now
        self._unix_zero_s = time.time() - now()  # the clock that windows are told by, and that nobody sets
        self._shares: OrderedDict[str, Share] = OrderedDict()
        self._stood: dict[str, Stood] = {}
        self._stood_before: dict[str, Stood] = {}
        self._lost_us = 0

    @property
    def has_counted(self) -> bool:
        """Whether anything is owed."""
        return bool(self._shares)

    def take(self, takes: Sequence[Take], names: Sequence[str], stood: Sequence[State] = ()) -> Decision:
        """Take one from every limit, or none; one that is closed refuses the request.

        `stood` says where each limit stands, as far as this worker knows; what has been remembered of it if not given.
        """
        policies = {take.on_store_loss for take in takes}
        if "closed" in policies:
            return Decision(False, (), CLOSED_RETRY_S, "closed")
        counted = [at for at, take in enumerate(takes) if take.on_store_loss == "local"]
        if not counted:
            return Decision(True, (), 0.0, "open")
        now_us = self._now_us()
        shares = [self._share(takes[at], names[at], stood[at] if stood else None, now_us) for at in counted]
        return self._count([takes[at] for at in counted], shares, now_us)

    def remember(self, names: Sequence[str], meters: Sequence[Meter], states: Sequence[State]) -> None:
        """Note where limits stand that nobody holds any more: their shares begin there."""
        now_s = self._now()  # most are never looked at, so nothing is made of it yet
        if len(names) == 1:
            self._stood[names[0]] = meters[0], states[0], now_s
        else:
            self._stood.update(zip(names, zip(meters, states, repeat(now_s)), strict=True))
        if len(self._stood) > MAX_REMEMBERED // 2:  # by halves: to find the oldest each time would cost more
            self._stood, self._stood_before = {}, self._stood

    def has_heard_of(self, name: str, now_s: float) -> bool:
        """Whether a caller came to a limit just now, by what is remembered."""
        stood = self._stood.get(name)
        return stood is not None and now_s - stood[2] < LATELY_S

    def states(self, takes: Sequence[Take], names: Sequence[str]) -> tuple[LimitState, ...]:
        """Say where limits stand, by what is counted here or remembered; of what is unknown nothing is said."""
        now_us = self._now_us()
        found: list[LimitState] = []
        for take, name in zip(takes, names, strict=True):
            share, of = self._shares.get(name), meter_of(take.shape)
            if share is not None:
                found += states_of([take], [share.meter], [share.meter.read(share.kept, now_us)], is_taken=False)
            elif self._is_remembered(name):
                found += states_of([take], [of], [self._known(name, of, now_us)], is_taken=False)
        return tuple(found)

    def note_lost(self, at_s: float) -> None:
        """Note that Redis did not answer what it was asked then."""
        self._lost_us = self._unix_us(at_s)

    def _now_us(self) -> int:
        return self._unix_us(self._now())

    def _unix_us(self, at_s: float) -> int:
        return int((self._unix_zero_s + at_s) * US_PER_S)

    def settle(self) -> list[Debts]:
        """Say what is owed, tenant by tenant, and forget all counts: Redis has them from now on."""
        shares, self._shares = self._shares, OrderedDict()
        now_us = self._now_us()
        for name, share in shares.items():  # if all workers have spent as much of theirs
            self.remember([name], [share.whole], [share.whole.with_left(_left(share, now_us) * share.workers, now_us)])
        by_tenant: dict[str, list[str]] = {}
        for name in shares:
            by_tenant.setdefault(name.partition("}")[0], []).append(name)
        return [
            _debts(names[at : at + MAX_DEBTS_IN_ONE], shares, now_us, self._lost_us)
            for names in by_tenant.values()
            for at in range(0, len(names), MAX_DEBTS_IN_ONE)
        ]

    def _share(self, take: Take, name: str, stood: State | None, now_us: int) -> Share:
        """Give the share of one limit and caller, begun now if there is none or the number of workers has changed."""
        workers = max(1, self._live_workers())
        share = self._shares.pop(name, None)  # so that the dictionary stays in the order of use
        if share is None or share.workers != workers or share.whole is not meter_of(take.shape):
            whole, meter = meter_of(take.shape), meter_of(take.shape, workers)
            if share is not None:
                began = meter.with_left(_left(share, now_us), now_us)
            elif stood is not None or self._is_remembered(name):
                known = self._known(name, whole, now_us) if stood is None else stood
                began = meter.with_left(whole.remaining(known) // workers, now_us)
            else:
                began = meter.read(None, now_us)
            share = Share(meter.kept(began, now_us), began, meter, whole, workers, began, self._lost_us)
        self._shares[name] = share.noted(self._lost_us)
        while len(self._shares) > MAX_LOCAL_COUNTS:
            self._shares.popitem(last=False)
        return share

    def _is_remembered(self, name: str) -> bool:
        return name in self._stood or name in self._stood_before

    def _known(self, name: str, whole: Meter, now_us: int) -> State:
        """Say where a limit stands by what is remembered of it."""
        of, state, at_s = self._stood.get(name) or self._stood_before[name]
        return whole.read(of.kept(state, self._unix_us(at_s)), now_us)

    def _count(self, takes: Sequence[Take], shares: Sequence[Share], now_us: int) -> Decision:
        meters = [share.meter for share in shares]
        is_taken, states, kept = take_all([share.kept for share in shares], meters, now_us)
        for share, after in zip(shares, kept, strict=False):
            share.kept = after
            share.since += is_taken
        if is_taken:
            after_all = [of.stepped(each) for each, of in zip(states, meters, strict=True)]
            return Decision(True, states_of(takes, meters, after_all, is_taken=True), 0.0, "local")
        retry_us = max(of.wait_us(each) for each, of in zip(states, meters, strict=True))
        return Decision(False, states_of(takes, meters, states, is_taken=False), retry_us / US_PER_S, "local")


def _debts(names: Sequence[str], shares: dict[str, Share], now_us: int, lost_us: int) -> Debts:
    arguments: list[bytes] = []
    for name in names:
        share = shares[name]
        state = share.noted(lost_us).owing(now_us)
        arguments += share.whole.arguments
        arguments.append(b"%d" % share.meter.charge(share.began, state, share.whole, share.workers))
    return Debts(tuple(names), tuple(arguments))
