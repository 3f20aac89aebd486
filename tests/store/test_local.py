"""store/local.py: what a worker counts by itself, from where it begins, and what it owes afterwards."""

from __future__ import annotations

import pytest

from store import keys
from store.client import Client
from store.decisions import Take, meter_of
from store.gcra import DEBT_US, pace
from store.local import MAX_DEBTS_IN_ONE, MAX_LOCAL_COUNTS, LocalCounts
from store.scripts import Argument, script

HUNDRED = Take("a", "k", 100, 1.0, 20)
DAILY = Take("d", "k", 100, 86_400.0, 100, window="day")


class Local:
    """Local counts with a clock that is moved by hand."""

    def __init__(self, workers: int) -> None:
        self.now_s = 1000.0
        self.counts = LocalCounts(lambda: workers, lambda: self.now_s)

    def spend(self, take: Take, times: int = 1, stood: tuple[int, int] | None = None) -> int:
        names = [keys.limit("acme", take.name, take.key)]
        known = () if stood is None else (stood,)
        return sum(self.counts.take([take], names, known).admitted for _ in range(times))

    def owed(self) -> list[int]:
        return [int(each) for debts in self.counts.settle() for each in debts.arguments[5::6]]


def left(take: Take, count: int) -> tuple[int, int]:
    """Where a limit stands with so many left; a window of its end far away."""
    return meter_of(take.shape).with_left(count, 0)


@pytest.mark.parametrize(
    ("stood", "admitted"), [(None, 5), (left(HUNDRED, 20), 5), (left(HUNDRED, 11), 2), (left(HUNDRED, 3), 0)]
)
def test_a_share_begins_with_its_part_of_what_was_left(stood: tuple[int, int] | None, admitted: int) -> None:
    assert Local(4).spend(HUNDRED, 50, stood) == admitted


def test_a_share_comes_back_at_its_part_of_the_rate() -> None:
    local = Local(4)
    assert local.spend(HUNDRED, 50, left(HUNDRED, 0)) == 0
    local.now_s += 1.0
    assert local.spend(HUNDRED, 50) == 5  # its part of the burst
    for _ in range(10):
        local.now_s += 0.1
        assert local.spend(HUNDRED, 50) in (2, 3)


def test_what_is_owed_of_a_rate_is_all_of_its_slack_that_is_not_left() -> None:
    local = Local(4)
    local.spend(HUNDRED, 5)
    assert local.owed() == [50_001]  # a quarter of 200 ms, rounded up
    assert not local.counts.has_counted
    assert local.owed() == []
    local.spend(HUNDRED, 1)
    local.now_s += 60
    local.counts.note_lost(local.now_s)
    local.spend(HUNDRED, 1)
    assert local.owed() == [10_001]


def test_what_is_owed_of_a_quota_is_what_was_spent_of_it() -> None:
    local = Local(4)
    assert local.spend(DAILY, 100, left(DAILY, 40)) == 10
    assert local.owed() == [10]


def test_a_share_that_starts_when_workers_come_or_go_has_no_more_than_before() -> None:
    workers = 4
    counts = LocalCounts(lambda: workers, lambda: 1000.0)
    names = [keys.limit("acme", "a", "k")]
    assert [counts.take([HUNDRED], names).admitted for _ in range(4)] == [True] * 4
    workers = 1
    assert [counts.take([HUNDRED], names).admitted for _ in range(2)] == [True, False]


def test_callers_that_have_not_come_the_longest_are_forgotten_when_there_are_too_many() -> None:
    local = Local(1)
    for n in range(MAX_LOCAL_COUNTS + 100):
        local.spend(HUNDRED._replace(key=str(n)))
    assert len(local.counts._shares) == MAX_LOCAL_COUNTS
    assert keys.limit("acme", "a", "100") in local.counts._shares
    assert keys.limit("acme", "a", "99") not in local.counts._shares


def test_a_share_begins_where_the_limit_stood_when_it_was_let_go_of() -> None:
    local, of = Local(2), meter_of(HUNDRED.shape)
    name = keys.limit("acme", "a", "k")
    local.counts.remember([name], [of], [left(HUNDRED, 0)])
    assert local.spend(HUNDRED, 20) == 0
    local.now_s += 0.101
    assert local.spend(HUNDRED, 20) == 5  # half of the ten that have come back, and they come back still
    assert local.counts.settle()
    assert local.spend(HUNDRED, 20) == 0  # one outage after the other
    local.now_s += 60
    assert local.spend(HUNDRED, 20) == 10


def test_what_comes_back_while_redis_may_be_there_again_is_owed_when_it_is_spent() -> None:
    """Others may have been given it by Redis; what came back before it was asked in vain is nobody else's."""
    steady = [0, 0]
    for at, asked_in_vain in enumerate((True, False)):
        local = Local(4)
        local.counts.note_lost(local.now_s)
        local.spend(HUNDRED, 20)
        for _ in range(10):
            local.now_s += 0.1
            steady[at] += local.spend(HUNDRED, 20)
        if asked_in_vain:
            local.counts.note_lost(local.now_s)
        (owed_us,) = local.owed()
        assert owed_us == pytest.approx(50_000 if asked_in_vain else 50_000 + steady[at] * 10_000, abs=2_500)
    assert steady[0] == steady[1] >= 24


def test_debts_are_told_by_tenant_and_in_bounded_pieces() -> None:
    counts = LocalCounts(lambda: 1, lambda: 0.0)
    for tenant, count in (("acme", MAX_DEBTS_IN_ONE + 1), ("globex", 1)):
        for n in range(count):
            take = HUNDRED._replace(key=str(n))
            counts.take([take], [keys.limit(tenant, take.name, take.key)])
    assert sorted(len(debts.names) for debts in counts.settle()) == [1, 1, MAX_DEBTS_IN_ONE]


async def test_redis_is_charged_for_what_was_spent_without_it(client: Client) -> None:
    name, of = keys.limit("acme", "a", "k"), pace(100, 1.0, 20)

    async def charge(owed: int, take: Take = HUNDRED) -> None:
        arguments: list[Argument] = [*meter_of(take.shape).arguments, owed]
        assert await client.run(script("charge"), [keys.limit("acme", take.name, take.key)], arguments) == (owed > 0)

    async def stands(take: Take = HUNDRED) -> tuple[int, int]:
        names = [keys.limit("acme", take.name, take.key)]
        reply = await client.run(script("take"), names, [1, 0, *meter_of(take.shape).arguments])
        return reply[0], reply[2]

    await charge(0)
    assert not await client.ask("EXISTS", name)
    await charge(195_000)  # all of a burst but half a unit
    granted, ahead_us = await stands()
    assert granted == 0
    assert 100_000 < ahead_us <= 195_000
    await charge(10**9)
    granted, ahead_us = await stands()
    assert granted == 0
    assert of.slack[0] + DEBT_US - 1_000_000 < ahead_us <= of.slack[0] + DEBT_US
    await charge(97, DAILY)
    assert await stands(DAILY) == (1, 97)
    await charge(3, DAILY)
    assert await stands(DAILY) == (0, 101)
