"""Checks of passwords: what they may take of a worker, what is remembered, and for how long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from argon2.exceptions import VerificationError

from edge.client_edge import passwords
from edge.client_edge.passwords import REMEMBERED_S, Attempt, PasswordChecks
from edge.errors import EdgeError
from tests.fakes.waiting import until


class Hasher:
    """Stands where argon2 does: `right` is the one password, and a check lasts until it is released."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.released = threading.Event()
        self.released.set()

    def verify(self, password_hash: str, password: str) -> bool:
        self.asked.append((password_hash, password))
        self.released.wait(30)
        if password == "no memory":
            raise VerificationError("Memory allocation error")
        return password == "right"


@pytest.fixture
def hasher() -> Iterator[Hasher]:
    made = Hasher()
    yield made
    made.released.set()


def attempt(password: str = "right", *, tenant: str = "acme", name: str = "ann", kept: str = "hash") -> Attempt:
    return Attempt(tenant, name, password, kept)


async def test_what_was_right_is_known_for_a_minute_and_what_was_wrong_never(hasher: Hasher) -> None:
    now_s = 0.0
    checks = PasswordChecks(hasher.verify, now_s=lambda: now_s)
    assert not checks.knows(attempt())
    assert await checks.is_right(attempt())
    assert not await checks.is_right(attempt("wrong"))
    assert checks.knows(attempt())
    assert not checks.knows(attempt("wrong"))
    now_s = REMEMBERED_S - 0.001
    assert checks.knows(attempt())
    now_s = REMEMBERED_S
    assert not checks.knows(attempt())
    checks.close()


async def test_what_was_right_is_right_for_that_tenant_name_and_hash_alone(hasher: Hasher) -> None:
    checks = PasswordChecks(hasher.verify)
    await checks.is_right(attempt())
    for other in (attempt(tenant="other"), attempt(name="bob"), attempt(kept="new hash")):
        assert not checks.knows(other)
    assert not checks.knows(Attempt("acme", "an", "nright", "hash"))  # the same letters, parted elsewhere
    checks.close()


async def test_no_password_is_kept_in_what_is_remembered(hasher: Hasher) -> None:
    checks = PasswordChecks(hasher.verify)
    await checks.is_right(attempt())
    assert "right" not in repr([*vars(checks).values()])
    checks.close()


async def test_those_who_show_the_same_at_the_same_time_share_one_check(hasher: Hasher) -> None:
    checks = PasswordChecks(hasher.verify, per_tenant=1)
    hasher.released.clear()
    asking = [asyncio.create_task(checks.is_right(attempt())) for _ in range(20)]
    await until(lambda: hasher.asked, 5)
    asking[0].cancel()
    hasher.released.set()
    assert await asyncio.gather(*asking[1:]) == [True] * 19
    assert len(hasher.asked) == 1
    checks.close()


async def test_a_tenants_guesses_are_bounded_and_another_tenant_is_served(hasher: Hasher) -> None:
    checks = PasswordChecks(hasher.verify, per_tenant=1)
    hasher.released.clear()
    slow = asyncio.create_task(checks.is_right(attempt("guess 1", tenant="guessed")))
    await until(lambda: hasher.asked, 5)
    with pytest.raises(EdgeError) as caught:
        await checks.is_right(attempt("guess 2", tenant="guessed"))
    assert (caught.value.code, caught.value.status) == ("overloaded", 503)
    assert caught.value.retry_after_s
    other = asyncio.create_task(checks.is_right(attempt()))
    await until(lambda: len(hasher.asked) == 2, 5)  # it has begun while the first has not ended
    hasher.released.set()
    assert (await slow, await other) == (False, True)
    await until(lambda: checks.under_way == 0, 5)
    checks.close()


async def test_all_tenants_together_are_bounded_too(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "IN_ALL", 3)
    checks = PasswordChecks(hasher.verify)
    hasher.released.clear()
    asking = [asyncio.create_task(checks.is_right(attempt(tenant=f"t{number}"))) for number in range(3)]
    await until(lambda: checks.under_way == 3, 5)
    with pytest.raises(EdgeError):
        await checks.is_right(attempt(tenant="t3"))
    hasher.released.set()
    assert await asyncio.gather(*asking) == [True] * 3
    checks.close()


async def test_who_goes_does_not_free_a_place_that_a_thread_still_takes(hasher: Hasher) -> None:
    checks = PasswordChecks(hasher.verify, per_tenant=1)
    hasher.released.clear()
    gone = asyncio.create_task(checks.is_right(attempt("guess")))
    await until(lambda: hasher.asked, 5)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert checks.under_way == 1
    with pytest.raises(EdgeError):
        await checks.is_right(attempt("another"))
    hasher.released.set()
    await until(lambda: checks.under_way == 0, 5)
    assert await checks.is_right(attempt())
    checks.close()


async def test_what_cannot_be_told_is_a_503_and_no_refusal(hasher: Hasher) -> None:
    checks = PasswordChecks(hasher.verify)
    with pytest.raises(EdgeError) as caught:
        await checks.is_right(attempt("no memory"))
    assert caught.value.status == 503
    assert "no memory" not in str(caught.value)
    checks.close()


async def test_the_loop_turns_while_a_password_is_checked() -> None:
    """With argon2 itself, which is known to hold nobody up only as long as it lets Python's lock go."""
    costly = "$argon2id$v=19$m=131072,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
    checks = PasswordChecks()
    checking = asyncio.create_task(checks.is_right(attempt("guess", kept=costly)))
    turns = 0
    while not checking.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert not await checking
    assert turns > 10
    checks.close()


async def test_what_is_remembered_is_bounded(hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_REMEMBERED", 2)
    checks = PasswordChecks(hasher.verify)
    for name in ("ann", "bob"):
        await checks.is_right(attempt(name=name))
    assert checks.knows(attempt(name="ann"))
    await checks.is_right(attempt(name="cat"))
    assert [checks.knows(attempt(name=name)) for name in ("ann", "bob", "cat")] == [True, False, True]
    checks.close()
