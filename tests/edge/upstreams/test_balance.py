from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from edge.upstreams.balance import RoundRobin, by_hash, least_requests, random_two


@dataclass
class Target:
    key: str
    weight: int = 1
    in_flight: int = 0


def test_round_robin_spreads_each_ones_share_evenly() -> None:
    turn = RoundRobin()
    targets = [Target("a", 5), Target("b", 1), Target("c", 1)]
    assert "".join(turn.pick(targets).key for _ in range(14)) == "aabacaa" * 2


def test_round_robin_goes_on_where_it_was_when_a_target_is_out_for_a_while() -> None:
    turn = RoundRobin()
    targets = [Target("a"), Target("b"), Target("c")]
    without_b = [targets[0], targets[2]]
    picks = [turn.pick(targets).key for _ in range(3)]
    picks += [turn.pick(without_b).key for _ in range(4)]
    picks += [turn.pick(targets).key for _ in range(30)]
    assert Counter(picks[:3]) == {"a": 1, "b": 1, "c": 1}
    assert Counter(picks[3:7]) == {"a": 2, "c": 2}
    assert set(Counter(picks[7:]).values()) == {10}


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([Target("a", 1, 3), Target("b", 1, 1), Target("c", 1, 2)], "b"),
        ([Target("a", 10, 3), Target("b", 1, 1)], "a"),
        ([Target("a", 1, 0)], "a"),
    ],
)
def test_least_requests_looks_at_load_for_weight(targets: list[Target], expected: str) -> None:
    assert least_requests(targets, random.Random(1).random).key == expected


def test_least_requests_draws_among_equals_by_weight() -> None:
    chance = random.Random(1).random
    targets = [Target("a"), Target("b"), Target("c", in_flight=5)]
    picks = Counter(least_requests(targets, chance).key for _ in range(1000))
    assert set(picks) == {"a", "b"}
    assert abs(picks["a"] - 500) < 80


def test_least_requests_gives_idle_targets_their_share_by_weight() -> None:
    chance = random.Random(1).random
    picks = Counter(least_requests([Target("a", 3), Target("b", 1)], chance).key for _ in range(4000))
    assert abs(picks["a"] - 3000) < 150


def test_random_two_draws_two_different_ones_and_takes_the_less_loaded() -> None:
    chance = random.Random(1).random
    targets = [Target("a"), Target("b"), Target("busy", in_flight=50)]
    picks = Counter(random_two(targets, chance).key for _ in range(9000))
    assert "busy" not in picks
    assert abs(picks["a"] - picks["b"]) < 300


def test_random_two_gives_idle_targets_their_share_by_weight() -> None:
    chance = random.Random(1).random
    picks = Counter(random_two([Target("a", 3), Target("b", 1)], chance).key for _ in range(4000))
    assert abs(picks["a"] - 3000) < 150


def test_random_two_takes_the_only_one_there_is() -> None:
    assert random_two([Target("a")], lambda: 0.999).key == "a"


def test_a_hash_gives_the_same_target_for_the_same_value_whatever_the_order() -> None:
    targets = [Target(f"t{at}") for at in range(5)]
    for value in map(str, range(100)):
        assert by_hash(targets, value).key == by_hash(targets[::-1], value).key


def test_a_target_that_goes_moves_only_its_own_share() -> None:
    targets = [Target(f"t{at}") for at in range(5)]
    before = {value: by_hash(targets, value).key for value in map(str, range(5000))}
    after = {value: by_hash(targets[:4], value).key for value in before}
    assert all(after[value] == key for value, key in before.items() if key != "t4")
    assert max(Counter(after.values()).values()) < 1.2 * 5000 / 4


def test_a_hash_gives_shares_by_weight() -> None:
    picks = Counter(by_hash([Target("a", 3), Target("b", 1)], str(at)).key for at in range(8000))
    assert abs(picks["a"] - 6000) < 250


def test_a_target_that_comes_takes_only_its_own_share() -> None:
    targets = [Target(f"t{at}") for at in range(5)]
    before = {value: by_hash(targets[:4], value).key for value in map(str, range(2000))}
    after = {value: by_hash(targets, value).key for value in before}
    assert all(after[value] in (key, "t4") for value, key in before.items())


def test_a_hash_is_the_same_in_every_process() -> None:
    """Written down once: another worker, another release or another machine must not send callers elsewhere."""
    targets = [Target(f"http://10.0.0.{at}:9000") for at in range(1, 4)]
    assert [by_hash(targets, user).key[-6] for user in ("ann", "bob", "eve", "joe", "zoë", "")] == list("312222")


@pytest.mark.parametrize("value", ["", "\udcff", "x" * 10_000])
def test_a_hash_takes_any_value_that_a_header_may_have(value: str) -> None:
    assert by_hash([Target("a"), Target("b")], value).key in "ab"
