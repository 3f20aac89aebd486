"""tests/fakes/timing.py: what is waited for, blocked or worked out is counted, what the machine did not give is not."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.fakes import timing
from tests.fakes.timing import GivenTime, Stopwatch, timed, within

LONG_S = 0.4
MOST_OF_IT_S = 0.2
"""On a machine that does other things, too."""


@pytest.fixture
def given_time() -> Iterator[GivenTime]:
    clock = GivenTime()
    yield clock
    clock.process.send_signal(signal.SIGCONT)
    clock.close()


@timing.steadily
async def test_what_is_waited_for_is_counted() -> None:
    _, took_s = await timed(asyncio.sleep(LONG_S))
    assert took_s > MOST_OF_IT_S


async def test_what_does_not_end_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "HANG_S", 0.1)
    with pytest.raises(TimeoutError):
        async with within(0.1):
            await asyncio.Event().wait()


def computed() -> None:
    until_s = time.monotonic() + LONG_S
    while time.monotonic() < until_s:
        pass


def held() -> None:
    """Compute in one call, which lets no other thread run."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < LONG_S:
        sum(range(3_000_000))


@pytest.mark.parametrize("block", [lambda: time.sleep(LONG_S), computed, held], ids=["asleep", "computing", "held"])
@timing.steadily
async def test_a_loop_that_is_blocked_is_counted(block: Callable[[], None]) -> None:
    watch = Stopwatch()
    block()
    assert watch.took_s > MOST_OF_IT_S
    with pytest.raises(AssertionError, match="took"):
        async with within(MOST_OF_IT_S):
            block()


async def test_a_machine_that_stands_still_is_not_counted(given_time: GivenTime) -> None:
    watch = Stopwatch(given_time)
    given_time.process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(LONG_S)
    given_time.process.send_signal(signal.SIGCONT)
    before_s = given_time()
    while given_time() == before_s:  # noqa: ASYNC110  # it ticks again
        await asyncio.sleep(0.001)
    assert watch.took_s < LONG_S / 2


async def test_a_test_that_fails_is_run_again_where_the_machine_stood_still_and_nowhere_else() -> None:
    tried: list[bool] = []

    async def fails(*, is_still: bool) -> None:
        tried.append(is_still)
        if is_still:
            timing._given_time().process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(LONG_S)
            timing._given_time().process.send_signal(signal.SIGCONT)
        raise ValueError(f"try {len(tried)}")

    with pytest.raises(ValueError, match="try 1"):
        await timing.steadily(fails)(is_still=False)
    with pytest.raises(ValueError, match=f"try {1 + timing.TRIES}"):
        await timing.steadily(fails)(is_still=True)


async def test_never_more_is_counted_than_has_passed(given_time: GivenTime) -> None:
    began_s = time.monotonic()
    watch = Stopwatch(given_time)
    for _ in range(50):
        assert watch.took_s <= time.monotonic() - began_s
        await asyncio.sleep(0.001)


async def test_a_ticker_that_has_ended_is_told_and_not_taken_for_a_machine_that_stands_still(
    given_time: GivenTime,
) -> None:
    watch = Stopwatch(given_time)
    given_time.process.kill()
    await asyncio.to_thread(given_time.process.wait)
    with pytest.raises(AssertionError, match="has ended"):
        assert watch.took_s


def test_the_ticker_ends_with_who_started_it(given_time: GivenTime) -> None:
    assert given_time.process.poll() is None
    given_time.close()
    given_time.close()
    assert given_time.process.returncode == 0
