"""Bounds on how long something takes, of what the machine had to give.

A machine that runs tests stands still now and then, for seconds, and all that is on it with it. A process that only
ticks (`ticker`) stands still then too, so what it missed is not counted here. It does tick on while this process
waits, blocks its loop or computes: that is counted in full.
"""

from __future__ import annotations

import asyncio
import atexit
import mmap
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import pytest

from tests.fakes import ticker

Given = ParamSpec("Given")
Found = TypeVar("Found")
STILL_S = 0.1
TRIES = 5
HANG_S = 20.0  # longer than machines stand still, and less than a test may take


class GivenTime:
    """A clock of the time that a process is given which only ticks. The owner owes `close`."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            file.truncate(8)
            self._given_s = memoryview(mmap.mmap(file.fileno(), 8)).cast("d")
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", ticker.__file__, str(file.fileno())],
                stdin=subprocess.PIPE,
                pass_fds=[file.fileno()],
            )
        while not self():
            time.sleep(ticker.TICK_S)

    def __call__(self) -> float:
        assert self.process.poll() is None, "the ticker has ended: nothing would be counted any more"
        return self._given_s[0]

    def close(self) -> None:
        """End the ticker; safe to call twice."""
        self.process.communicate()  # which closes its input


@cache
def _given_time() -> GivenTime:
    found = GivenTime()
    atexit.register(found.close)
    return found


class Stopwatch:
    """Measures from when it is made."""

    def __init__(self, given_time: GivenTime | None = None) -> None:
        self._given_time = given_time or _given_time()
        self._began_s, self._began_given_s = time.monotonic(), self._given_time()

    @property
    def took_s(self) -> float:
        """How long it has been, without what the machine did not give; coarse by a tick or two."""
        return min(time.monotonic() - self._began_s, self._given_time() - self._began_given_s)

    @property
    def missed_s(self) -> float:
        """How much of it the machine did not give."""
        return time.monotonic() - self._began_s - self.took_s


@asynccontextmanager
async def within(most_s: float) -> AsyncIterator[None]:
    """Fail when what is inside takes longer than `most_s`; it is interrupted where it does not seem to end at all."""
    watch = Stopwatch()
    async with asyncio.timeout(most_s + HANG_S):
        yield
    took_s = watch.took_s
    assert took_s < most_s, f"took {took_s:.3f} s"


def steadily(test: Callable[Given, Awaitable[None]]) -> Callable[Given, Awaitable[None]]:
    """Run a test again that failed while the machine stood still.

    For those that do something at short intervals, as something ends where that is not done in time: they need a
    machine that goes on. What they owe is to bear being run twice with the same fixtures,
    and to close what they open when they fail, too.
    """

    @wraps(test)
    async def again(*args: Given.args, **kwargs: Given.kwargs) -> None:
        for tries_left in reversed(range(TRIES)):
            watch = Stopwatch()
            try:
                await test(*args, **kwargs)
            except (Exception, pytest.fail.Exception):
                if not tries_left or watch.missed_s < STILL_S:
                    raise
            else:
                return

    return again


async def timed(waiting: Awaitable[Found]) -> tuple[Found, float]:
    """Wait, and say for how long as well; in seconds."""
    watch = Stopwatch()
    found = await waiting
    return found, watch.took_s
