"""Turns: one at a time, but nobody waits for ever."""

from __future__ import annotations

import asyncio
import gc

import pytest

from tenants.turns import Turns


async def test_those_of_one_name_go_one_after_the_other_in_order_and_others_at_once() -> None:
    turns, inside, order = Turns(), 0, []

    async def go(name: str, number: int) -> None:
        nonlocal inside
        async with turns.take(name) as is_ours:
            assert is_ours
            inside += name == "acme"
            assert inside <= 1
            await asyncio.sleep(0)
            order.append((name, number))
            inside -= name == "acme"

    async with turns.take("acme"):
        waiting = [asyncio.create_task(go("acme", number)) for number in range(5)]
        await go("beta", 0)
    await asyncio.gather(*waiting)
    assert order == [("beta", 0), *(("acme", number) for number in range(5))]


async def test_who_has_waited_long_enough_goes_ahead_and_leaves_the_other_its_turn() -> None:
    turns = Turns(patience_s=0.01)
    async with turns.take("acme") as first:
        async with turns.take("acme") as second:
            assert (first, second) == (True, False)
        async with turns.take("acme") as third:
            assert third is False
    async with turns.take("acme") as fourth:
        assert fourth is True


async def test_one_that_is_cancelled_while_waiting_or_inside_keeps_no_turn() -> None:
    turns, inside = Turns(), asyncio.Event()

    async def hold() -> None:
        async with turns.take("acme"):
            inside.set()
            await asyncio.sleep(60)

    holding = asyncio.create_task(hold())
    await inside.wait()
    waiting = asyncio.create_task(hold())
    await asyncio.sleep(0)
    for task in (waiting, holding):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with turns.take("acme") as is_ours:
        assert is_ours


async def test_a_name_that_nobody_waits_for_costs_nothing() -> None:
    turns = Turns()
    for number in range(100):
        async with turns.take(f"tenant-{number}"):
            pass
    gc.collect()
    assert len(turns._locks) == 0
