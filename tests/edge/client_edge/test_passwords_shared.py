"""Checks of passwords of many tenants at once: whose is next, who has to go, and what those leave who give up."""

from __future__ import annotations

import asyncio
import threading
from asyncio import Task
from collections.abc import AsyncIterator

import pytest

from edge.client_edge.passwords import IN_ALL, PER_TENANT, THREADS, Attempt, PasswordChecks
from edge.errors import EdgeError
from tests.fakes.waiting import until


class Doors:
    """Clients at tenants' doors, and a hasher whose checks end one by one, when they are let."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.running: list[str] = []
        self._let = threading.Semaphore(0)
        self.checks = PasswordChecks(self._verify)

    def _verify(self, password_hash: str, password: str) -> bool:
        self.running.append(password_hash)  # named for its tenant
        self.begun.append(password_hash)
        self._let.acquire(timeout=30)
        self.running.remove(password_hash)
        return password == "right"

    def ask(self, tenant: str, password: str) -> Task[bool]:
        return asyncio.create_task(self.checks.is_right(Attempt(tenant, "ann", password, tenant)))

    async def guess(self, tenant: str, count: int = PER_TENANT) -> list[Task[bool]]:
        guesses = [self.ask(tenant, f"guess {number}") for number in range(count)]
        await asyncio.sleep(0)
        return guesses

    def end(self, count: int = 1) -> None:
        self._let.release(count)

    async def has_begun(self, count: int) -> None:
        await until(lambda: len(self.begun) == count, 5)


@pytest.fixture
async def doors() -> AsyncIterator[Doors]:
    made = Doors()
    yield made
    made.checks.close()
    made.end(IN_ALL)


async def test_a_login_is_next_however_many_guesses_at_another_tenant_wait(doors: Doors) -> None:
    await doors.guess("guessed")
    await doors.has_begun(THREADS)
    login = doors.ask("acme", "right")
    await asyncio.sleep(0)
    doors.end()
    await doors.has_begun(THREADS + 1)
    assert doors.begun[-1] == "acme"
    doors.end(PER_TENANT)  # whichever thread is quicker
    assert await login


async def test_while_two_tenants_wait_neither_has_both_threads(doors: Doors) -> None:
    await doors.guess("one")
    await doors.guess("two")
    await doors.has_begun(THREADS)
    for ended in range(1, 6):
        doors.end()
        await doors.has_begun(THREADS + ended)
        assert sorted(doors.running) == ["one", "two"]


async def test_a_login_takes_the_place_of_a_guess_at_the_tenant_that_has_most_waiting(doors: Doors) -> None:
    guesses = [each for number in range(IN_ALL // PER_TENANT) for each in await doors.guess(f"guessed{number}")]
    await until(lambda: doors.checks.under_way == IN_ALL, 5)
    login = doors.ask("acme", "right")
    await until(lambda: any(each.done() for each in guesses), 5)
    (dropped,) = (each for each in guesses if each.done())
    with pytest.raises(EdgeError) as caught:
        await dropped
    assert (caught.value.code, caught.value.status) == ("overloaded", 503)
    assert doors.checks.under_way == IN_ALL
    doors.end(IN_ALL)
    assert await login
    assert await asyncio.gather(*(each for each in guesses if each is not dropped)) == [False] * (IN_ALL - 1)
    assert doors.checks.under_way == 0


async def test_who_goes_before_the_turn_gives_the_place_back_and_is_not_checked(doors: Doors) -> None:
    guesses = await doors.guess("acme")
    await doors.has_begun(THREADS)
    guesses[-1].cancel()
    await asyncio.gather(guesses[-1], return_exceptions=True)
    assert doors.checks.under_way == PER_TENANT - 1
    login = doors.ask("acme", "right")
    doors.end(PER_TENANT)
    assert await login
    assert len(doors.begun) == PER_TENANT
    await asyncio.gather(*guesses, return_exceptions=True)  # which may end after it
    assert doors.checks.under_way == 0


async def test_a_place_is_kept_while_one_of_those_who_share_it_still_waits(doors: Doors) -> None:
    await doors.guess("acme", THREADS)
    first, second = doors.ask("acme", "right"), doors.ask("acme", "right")
    await until(lambda: doors.checks.under_way == THREADS + 1, 5)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert doors.checks.under_way == THREADS + 1
    doors.end(THREADS + 1)
    assert await second


async def test_who_asks_for_what_another_gave_up_is_checked(doors: Doors) -> None:
    await doors.guess("acme", THREADS)
    gone = doors.ask("acme", "right")
    await until(lambda: doors.checks.under_way == THREADS + 1, 5)
    gone.cancel()
    again = doors.ask("acme", "right")
    doors.end(THREADS + 1)
    assert await again
    assert gone.cancelled()


async def test_who_still_waits_when_all_ends_waits_no_longer(doors: Doors) -> None:
    guesses = await doors.guess("acme")
    await doors.has_begun(THREADS)
    doors.checks.close()
    doors.end(THREADS)
    await asyncio.wait(guesses, timeout=5)
    assert [each.cancelled() for each in guesses] == [False] * THREADS + [True] * (PER_TENANT - THREADS)
    assert len(doors.begun) == THREADS


async def test_what_no_thread_can_be_had_for_is_a_503_and_takes_no_place(doors: Doors) -> None:
    doors.checks.close()
    with pytest.raises(EdgeError) as caught:
        await doors.ask("acme", "right")
    assert caught.value.status == 503
    assert doors.checks.under_way == 0
