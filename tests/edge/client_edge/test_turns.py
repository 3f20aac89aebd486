"""edge/client_edge/turns.py: who is next, who has no place, and what is remembered of whom."""

from __future__ import annotations

import pytest

from edge.client_edge.turns import Bounds, Turns

WIDE = Bounds(at_once=2, per_tenant=100, in_all=1000)


def turns_of(come: str, bounds: Bounds = WIDE) -> Turns[str]:
    """Let items come, each named `tenant` and a number: "a1 a2 b1"."""
    turns: Turns[str] = Turns(bounds)
    for item in come.split():
        turns.come(item[0], item)
    return turns


def begun(turns: Turns[str]) -> str:
    """Say who begins on all that is free, in order."""
    items = []
    while (turn := turns.begin()) is not None:
        items.append(turn[1])
    return " ".join(items)


@pytest.mark.parametrize(
    ("come", "begin"),
    [
        ("", ""),
        ("a1", "a1"),
        ("a1 a2 a3", "a1 a2"),  # nobody else waits
        ("a1 a2 b1", "a1 b1"),
        ("a1 a2 a3 b1 b2 c1", "a1 b1"),
    ],
)
def test_free_threads_go_to_tenants_that_have_none_first(come: str, begin: str) -> None:
    assert begun(turns_of(come)) == begin


@pytest.mark.parametrize(
    ("come", "in_order"),
    [
        ("a1 a2 a3 b1 b2 b3", "a1 b1 a2 b2 a3 b3"),
        ("a1 a2 a3 b1 c1", "a1 b1 c1 a2 a3"),
        ("a1 b1 a2 c1 b2", "a1 b1 c1 a2 b2"),
    ],
)
@pytest.mark.parametrize("took_s", [0.0, 0.1])
def test_where_all_take_the_same_time_tenants_take_turns(come: str, in_order: str, took_s: float) -> None:
    turns, order = turns_of(come, WIDE._replace(at_once=1)), []
    while (turn := turns.begin()) is not None:
        order.append(turn[1])
        turns.end(turn[0], took_s)
    assert " ".join(order) == in_order


def test_who_takes_ten_times_as_long_has_a_tenth_of_the_turns() -> None:
    turns = turns_of(" ".join(f"{tenant}{number}" for tenant in "ab" for number in range(50)), WIDE._replace(at_once=1))
    order = []
    for _ in range(33):
        tenant, _item = turns.begin() or ("", "")
        order.append(tenant)
        turns.end(tenant, {"a": 1.0, "b": 0.1}[tenant])
    assert order.count("a") in (3, 4)


def test_who_comes_new_is_before_all_who_had_turns() -> None:
    turns = turns_of(
        " ".join(f"{tenant}{number}" for tenant in "abcdefgh" for number in range(8)), WIDE._replace(at_once=1)
    )
    for _ in range(12):
        tenant, _item = turns.begin() or ("", "")
        turns.end(tenant, 0.4)
    turns.come("z", "z1")
    # Behind those alone who have had no more time than it, and were here before: four of eight have had one turn.
    order = []
    while "z" not in order:
        tenant, _item = turns.begin() or ("", "")
        turns.end(tenant, 0.4)
        order.append(tenant)
    assert order == [*"efgh", "z"]


def test_who_was_away_has_saved_nothing_up() -> None:
    turns = turns_of(" ".join(f"a{number}" for number in range(20)), WIDE._replace(at_once=1))
    for _ in range(10):
        turns.begin()
        turns.end("a", 1.0)
    for number in range(5):
        turns.come("b", f"b{number}")
    order = ""
    for _ in range(6):
        tenant, _item = turns.begin() or ("", "")
        turns.end(tenant, 1.0)
        order += tenant
    assert order == "bababa"


def test_who_goes_and_comes_again_is_still_charged_for_the_last_turn() -> None:
    turns = turns_of("a1 b1 b2 b3", WIDE._replace(at_once=1))
    order = ""
    for number in range(4):
        tenant, _item = turns.begin() or ("", "")
        turns.end(tenant, 1.0)
        if tenant == "a":
            turns.come("a", f"a{number + 2}")  # one at a time, never a queue
        order += tenant
    assert order == "abab"


SMALL = Bounds(at_once=1, per_tenant=4, in_all=6)


@pytest.mark.parametrize(
    ("there", "comes", "dropped"),
    [
        ("a1 a2 a3", "a4", None),
        ("a1 a2 a3 a4", "a5", "a5"),  # the tenant's own bound
        ("a1 a2 a3 a4 b1 b2", "c1", "a4"),  # the newest of the tenant with most waiting
        ("b1 b2 a1 a2 a3 a4", "c1", "a4"),
        ("a1 a2 a3 a4 b1 b2", "b3", "b3"),  # three wait of each then
        ("a1 a2 a3 b1 b2 b3", "b4", "b4"),  # it is the one with most
        ("a1 b1 c1 d1 e1 f1", "g1", "g1"),  # nobody has more than it would
    ],
)
def test_who_has_no_place(there: str, comes: str, dropped: str | None) -> None:
    turns: Turns[str] = Turns(SMALL)
    for item in there.split():
        assert turns.come(item[0], item) is None
        turns.begin()
    assert turns.come(comes[0], comes) == dropped
    assert turns.under_way == len(there.split()) + (dropped is None)


def test_what_runs_is_never_dropped_and_keeps_its_place() -> None:
    turns = turns_of("a1 b1", Bounds(at_once=2, per_tenant=1, in_all=2))
    assert begun(turns) == "a1 b1"
    assert turns.come("a", "a2") == "a2"
    assert turns.come("c", "c1") == "c1"
    turns.end("a", 1.0)
    assert turns.come("c", "c1") is None


def test_of_those_with_as_many_waiting_who_has_had_more_time_gives_way() -> None:
    turns = turns_of("a1 a2 b1 c1", Bounds(at_once=1, per_tenant=4, in_all=3))  # c1 took the place of a2
    turns.begin()
    turns.end("a", 1.0)
    assert turns.come("a", "a3") is None
    assert turns.come("d", "d1") == "a3"


def test_who_leaves_gives_the_place_back_while_waiting_and_not_later() -> None:
    turns = turns_of("a1 a2", Bounds(at_once=1, per_tenant=2, in_all=2))
    assert begun(turns) == "a1"
    assert not turns.leave("a", "a1")
    assert not turns.leave("b", "b1")
    assert turns.leave("a", "a2")
    assert not turns.leave("a", "a2")
    assert turns.under_way == 1
    assert turns.come("a", "a3") is None


def test_all_who_wait_can_leave_at_once() -> None:
    turns = turns_of("a1 a2 b1 b2")
    begun(turns)
    assert turns.leave_all() == ["a2", "b2"]
    assert turns.under_way == 2
    assert turns.begin() is None


def kept(turns: Turns[str]) -> int:
    return len(vars(turns)["_shares"])


def test_what_is_kept_of_tenants_that_are_gone_is_bounded_and_ends_when_nobody_waits() -> None:
    turns = turns_of("a1", SMALL)
    for number in range(50):  # there is always one that waits, and it is always another's
        turns.come(f"tenant {number}", "guess")
        tenant, _item = turns.begin() or ("", "")
        turns.end(tenant, 0.1)
        assert kept(turns) <= SMALL.in_all + 1
    assert kept(turns) == SMALL.in_all + 1
    tenant, _item = turns.begin() or ("", "")
    turns.end(tenant, 0.1)
    assert kept(turns) == 0


def test_who_owes_nothing_any_more_is_forgotten() -> None:
    turns = turns_of("a1 b1 b2 b3 b4", WIDE._replace(at_once=1))
    seen = []
    for _ in range(4):
        tenant, _item = turns.begin() or ("", "")
        turns.end(tenant, 1.0)
        seen.append((tenant, kept(turns)))
    assert seen == [("a", 2), ("b", 2), ("b", 1), ("b", 1)]  # a is as good as new when others have had as much
