"""Units taken ahead: how many, how long they are good, and that no window of spending is ever exceeded."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from store.gcra import Pace, pace
from store.lease import Grant, Lease, terms_of
from store.meter import LONGEST_LIFE_S, MAX_UNITS
from tests.store.kept_limits import KeptLimits

HUNDRED = pace(100, 1.0, 200)


@pytest.mark.parametrize(
    ("paces", "most", "life_s"),
    [
        ([pace(100, 1.0, 200)], 50, LONGEST_LIFE_S),  # a quarter of the burst; two seconds of slack are enough
        ([pace(100, 1.0, 20)], 5, 0.05),
        ([pace(100, 1.0, 1)], 1, 0.0025),  # nothing to take ahead: each is counted for itself
        ([pace(10, 3600.0, 10)], 2, LONGEST_LIFE_S),
        ([pace(1_000_000, 1.0, 1_000_000)], MAX_UNITS, 0.25),
        ([pace(100, 1.0, 200), pace(100, 1.0, 20)], 5, 0.05),  # the tighter one says
        ([pace(100, 1.0, 200, cost=50)], 1, LONGEST_LIFE_S),
    ],
)
def test_what_may_be_taken_ahead_is_a_part_of_the_burst(paces: list[Pace], most: int, life_s: float) -> None:
    terms = terms_of(paces)
    assert terms.most == most
    assert terms.life_s == pytest.approx(life_s)


def test_a_key_that_is_asked_for_now_and_then_is_counted_one_by_one() -> None:
    lease = Lease([HUNDRED])
    for now_s in (0.0, 10.0, 11.0, 60.0):
        assert lease.wanted(now_s, waiting=1)[0] == 1
        lease.asked(now_s, 1, lease.terms.life_s)
        lease.granted(Grant(1, int(now_s * 1e6), [(0, 0)]))
        assert lease.spend(now_s)
        assert not lease.spend(now_s)


def test_for_a_key_that_comes_often_ever_more_is_asked_up_to_what_is_used_while_it_lives() -> None:
    lease, now_s, sizes = Lease([HUNDRED]), 100.0, []
    for _ in range(8):
        wanted, life_s = lease.wanted(now_s, waiting=1)
        sizes.append(wanted)
        lease.asked(now_s, wanted, life_s)
        lease.granted(Grant(wanted, 0, [(0, 0)]))
        while lease.spend(now_s):
            now_s += 0.01  # a hundred a second
    assert sizes == [1, 1, 2, 4, 8, 16, 32, 39]


def test_who_waits_is_asked_for_at_once_and_beyond_the_terms_for_nobody_else() -> None:
    assert Lease([HUNDRED]).wanted(0.0, waiting=17) == (17, LONGEST_LIFE_S)
    assert Lease([HUNDRED]).wanted(0.0, waiting=1000) == (1000, 0.0)
    assert Lease([HUNDRED]).wanted(0.0, waiting=5000) == (MAX_UNITS, 0.0)


def test_units_are_not_spent_after_their_life() -> None:
    lease = Lease([HUNDRED])
    lease.asked(10.0, 5, lease.terms.life_s)
    lease.granted(Grant(5, 0, [(0, 0)]))
    assert lease.spend(10.499)
    assert not lease.spend(10.5)
    assert lease.units == 4


def test_with_less_than_was_wanted_nobody_asks_again_before_there_is_more() -> None:
    lease = Lease([pace(100, 1.0, 200)])
    lease.asked(50.0, 4, lease.terms.life_s)
    lease.granted(Grant(0, 10**12, [(2_000_000, 0)]))  # all of its two seconds are used up
    assert lease.refused_until_s == pytest.approx(50.01)
    lease.asked(51.0, 4, lease.terms.life_s)
    lease.granted(Grant(2, 10**12, [(1_975_000, 0)]))  # to 1.995 s; one more fits when 5 ms have passed
    assert lease.refused_until_s == pytest.approx(51.005)


def test_where_a_limit_stands_is_told_by_what_has_been_spent() -> None:
    lease = Lease([HUNDRED])
    lease.asked(50.0, 4, lease.terms.life_s)
    lease.granted(Grant(4, 10**12, [(500_000, 0)]))
    lease.spend(50.0)
    assert lease.states(50.0) == [(510_000, 0)]
    lease.spend(50.1)
    assert lease.states(50.1) == [(420_000, 0)]


def test_what_is_left_is_given_back_once() -> None:
    lease = Lease([HUNDRED, pace(3, 1.0, 30)])
    lease.asked(50.0, 4, lease.terms.life_s)
    lease.granted(Grant(4, 10**12, [(0, 0), (0, 0)]))
    lease.spend(50.0)
    lease.spend(50.0)
    assert lease.unspent() == (b"1000000000000", b"20000", b"0", b"1", b"666666", b"2", b"3")
    assert lease.unspent() is None


# -- the bound ---------------------------------------------------------------------------------------------------------

# Bursts from which something can be taken ahead, and pauses about as long as it lives.
limits = st.builds(pace, count=st.integers(20, 2000), period_s=st.just(1.0), burst=st.integers(16, 60))
turns = st.lists(
    st.tuples(
        st.integers(0, 3),  # which worker
        st.sampled_from([0, 100, 1_000, 5_000, 20_000, 60_000, 120_000]),  # µs since the turn before
        st.sampled_from([0, 1, 2, 3, 5, 8, 20, 64]),  # requests that come together
        st.booleans(),  # whether what it holds is given back before
    ),
    max_size=25,
)


@settings(max_examples=300, deadline=None)
@example(  # one unit lies with a worker while another takes the whole burst
    of=pace(200, 1.0, 48), turns=[(0, 0, 3, False), (1, 20_000, 64, False), (0, 0, 1, False)]
)
@example(  # units are given back after the limit was at rest
    of=pace(200, 1.0, 60), turns=[(0, 0, 17, False), (1, 300_000, 64, False), (0, 0, 20, True)]
)
@given(of=limits, turns=turns)
def test_however_units_are_taken_spent_and_given_back_no_window_has_more_than_burst_plus_rate_times_window(
    of: Pace, turns: list[tuple[int, int, int, bool]]
) -> None:
    now_us, limit = 10**9, KeptLimits([of])
    leases = [Lease([of]) for _ in range(4)]
    spent_at: list[int] = []
    for worker, gap_us, requests, gives_back in turns:
        now_us += gap_us
        if gives_back and (unspent := leases[worker].unspent()) is not None:
            limit.give_back(unspent)
        for _ in range(requests):
            serve(leases[worker], limit, now_us, spent_at)
    assert_never_over(spent_at, of)


def serve(lease: Lease, limit: KeptLimits, now_us: int, spent_at: list[int]) -> None:
    """Let one request come to one worker; the clock of each worker is its own."""
    now_s = now_us / 1e6 + id(lease) % 3600
    if not lease.spend(now_s):
        wanted, life_s = lease.wanted(now_s, waiting=1)
        lease.asked(now_s, wanted, life_s)
        granted, ahead = limit.take(now_us, wanted, lease.life_us)
        lease.granted(Grant(granted, limit.taken_at_us, ahead))
        if not lease.spend(now_s):
            return
    spent_at.append(now_us)


def assert_never_over(spent_at: list[int], of: Pace) -> None:
    step = Fraction(of.step[0]) + Fraction(of.step[1], of.parts)
    slack = Fraction(of.slack[0]) + Fraction(of.slack[1], of.parts)
    for first in range(len(spent_at)):
        for last in range(first, len(spent_at)):
            assert (last - first + 1) * step <= slack + (spent_at[last] - spent_at[first])
