"""loadtest/limits.py: what it measures is what it says, if only a little of it."""

from __future__ import annotations

from loadtest.limits import Cost, measure, report


async def test_counted_ahead_a_hot_key_asks_redis_seldom_and_one_by_one_always(redis_url: str) -> None:
    found = await measure(redis_url, rounds=1, takes=500)
    assert found["ahead", "one hot key"].calls < 0.1
    assert found["ahead", "each its own key"].calls == 1
    assert found["one by one", "one hot key"].calls == found["one by one", "each its own key"].calls == 1
    assert all(cost.cpu_us > 0 for cost in found.values())


def test_a_missed_bar_is_told_by_the_exit_status() -> None:
    good = {("ahead", "one hot key"): Cost(5.0, 0.01), ("ahead", "each its own key"): Cost(12.0, 1.0)}
    assert report(good)[1]
    for case, bad in ((("ahead", "one hot key"), Cost(6.1, 0.01)), (("ahead", "one hot key"), Cost(5.0, 0.06))):
        text, is_met = report({**good, case: bad})
        assert not is_met
        assert f"{bad.cpu_us:.1f}" in text
