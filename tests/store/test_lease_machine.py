"""Leases under everything that can become of them, held against the reference: one counter that sees every spending.

Workers ask, spend, give back, forget and die; replies get lost; time passes. What they spend together a reference GCRA
and a reference quota must admit, at the moment it was spent.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from store.gcra import Pace, pace
from store.lease import Grant, Lease, returned
from store.meter import US_PER_S, Meter, State
from store.quota import Quota, bounds_s, quota
from tests.store.kept_limits import KeptLimits

WORKERS = 3
BEGAN_US = 1_764_287_999 * US_PER_S  # a second before a minute ends


def workers() -> st.SearchStrategy[int]:
    return st.integers(0, WORKERS - 1)


class Reference:
    """A limit that sees every spending as it happens: one number of a rate, a count for each window of a quota."""

    def __init__(self, of: Meter) -> None:
        self.of = of
        self.at_us = BEGAN_US
        self.state: State = (0, 0)
        self.used: Counter[int] = Counter()

    def spend(self, now_us: int) -> None:
        if isinstance(self.of, Pace):
            self.state = self.of.passed(self.state, now_us - self.at_us)
            self.at_us = now_us
            self.state = self.of.stepped(self.state)
        elif isinstance(self.of, Quota):
            self.used[bounds_s(self.of.window, now_us // US_PER_S)[0]] += self.of.cost

    @property
    def is_exceeded(self) -> bool:
        if isinstance(self.of, Pace):
            return self.state > self.of.slack
        return isinstance(self.of, Quota) and max(self.used.values(), default=0) > self.of.limit


class LeaseMachine(RuleBasedStateMachine):
    """The workers of a fleet, one set of limits, and a Redis that never dies."""

    @initialize(
        count=st.integers(20, 2000),
        burst=st.integers(1, 60),
        left=st.integers(1, 100),
        has_quota=st.booleans(),
    )
    def begin(self, count: int, burst: int, left: int, has_quota: bool) -> None:
        self.now_us = BEGAN_US
        meters: list[Meter] = [pace(count, 1.0, burst), *([quota(left, "minute")] if has_quota else [])]
        self.limits = KeptLimits(meters)
        self.references = [Reference(of) for of in meters]
        self.leases = [Lease(meters) for _ in range(WORKERS)]

    @rule(lives=st.sampled_from([0.01, 0.2, 0.9, 1.1, 1.5, 2.5, 5.0]))
    def time_passes(self, lives: float) -> None:
        """In parts of the time for which units live, since that is what it is about."""
        self.now_us += int(lives * self.leases[0].terms.life_s * US_PER_S) + 1

    @rule()
    def the_minute_is_about_to_end(self) -> None:
        length_us = 60 * US_PER_S
        self.now_us += length_us - self.now_us % length_us - self.leases[0].life_us // 3

    @rule(worker=workers(), waiting=st.sampled_from([1, 2, 7, 64]))
    def requests_come_together(self, worker: int, waiting: int) -> None:
        """As many as wait are served by what is held, then by one asking, as the limiter does."""
        lease = self.leases[worker]
        while waiting and lease.spend(self._clock_s(worker)):
            self._spent()
            waiting -= 1
        if waiting and self._clock_s(worker) >= lease.refused_until_s:
            self._ask(worker, waiting)
            while waiting and lease.spend_at_once():
                self._spent()
                waiting -= 1
            if lease.counts_from_now:
                self._give_back(worker)

    @rule(worker=workers(), times=st.integers(1, 80))
    def requests_come_one_by_one(self, worker: int, times: int) -> None:
        for _ in range(times):
            self.requests_come_together(worker, 1)
            self.now_us += int(self.leases[worker].terms.life_s * US_PER_S / 40)

    @rule(worker=workers(), waiting=st.sampled_from([1, 2, 7, 64]), lives=st.sampled_from([0.01, 0.5, 1.5]))
    def requests_go_while_they_wait(self, worker: int, waiting: int, lives: float) -> None:
        """All of them; one that asked for itself alone gives its unit back when the reply comes."""
        lease = self.leases[worker]
        if self._clock_s(worker) < lease.refused_until_s:
            return
        wanted, life_s = lease.wanted(self._clock_s(worker), waiting)
        self._give_back(worker)
        lease.asked(self._clock_s(worker), wanted, life_s)
        granted, before = self.limits.take(self.now_us, wanted, lease.life_us)
        taken_at_us = self.limits.taken_at_us
        self.time_passes(lives)
        if wanted > 1:
            lease.granted(Grant(granted, taken_at_us, before))
            if lease.counts_from_now:
                self._give_back(worker)
        elif granted:
            self.limits.give_back(returned(lease.meters, taken_at_us, granted))

    @rule(worker=workers(), other=workers(), lives=st.sampled_from([0.5, 1.1, 2.5]))
    def another_takes_all_while_one_pauses(self, worker: int, other: int, lives: float) -> None:
        self.time_passes(lives)
        self.requests_come_together(other, 64)
        self.requests_come_together(worker, 7)

    @rule(worker=workers())
    def what_is_left_is_given_back(self, worker: int) -> None:
        self._give_back(worker)

    @rule(worker=workers())
    def a_worker_dies_and_another_takes_its_place(self, worker: int) -> None:
        self.leases[worker] = Lease(self.limits.meters)

    @rule(worker=workers(), waiting=st.sampled_from([1, 2, 7, 64]))
    def a_reply_gets_lost(self, worker: int, waiting: int) -> None:
        lease = self.leases[worker]
        wanted, life_s = lease.wanted(self._clock_s(worker), waiting)
        lease.unspent()
        lease.asked(self._clock_s(worker), wanted, life_s)
        self.limits.take(self.now_us, wanted, lease.life_us)

    @invariant()
    def nothing_is_exceeded(self) -> None:
        assert not any(reference.is_exceeded for reference in getattr(self, "references", ()))

    def _ask(self, worker: int, waiting: int) -> None:
        lease = self.leases[worker]
        wanted, life_s = lease.wanted(self._clock_s(worker), waiting)
        self._give_back(worker)
        lease.asked(self._clock_s(worker), wanted, life_s)
        granted, before = self.limits.take(self.now_us, wanted, lease.life_us)
        lease.granted(Grant(granted, self.limits.taken_at_us, before))

    def _give_back(self, worker: int) -> None:
        unspent = self.leases[worker].unspent()
        if unspent is not None:
            self.limits.give_back(unspent)

    def _spent(self) -> None:
        for reference in self.references:
            reference.spend(self.now_us)

    def _clock_s(self, worker: int) -> float:
        """Give a worker's monotonic clock: each began at another time."""
        return self.now_us / 1e6 + 1000.0 * worker


TestLeaseMachine = LeaseMachine.TestCase
TestLeaseMachine.settings = settings(max_examples=400, stateful_step_count=30, deadline=None)
