"""Checks of passwords against argon2id hashes: costly on purpose, so in threads, few at once, not twice in a minute.

A check takes a processor for a tenth of a second and more memory than a thousand requests. So a tenant has few of them
under way (it names the hashes, and anybody may guess at its door), a name and password that were right are remembered
for a minute under a key that dies with the process, and those who ask the same at the same time share one check.
Tenants share the threads by time (turns.py), so that what is guessed at one door keeps nobody waiting at another.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import Future
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from time import monotonic
from typing import NamedTuple

from argon2.exceptions import VerificationError, VerifyMismatchError
from argon2.low_level import Type, verify_secret

from edge.client_edge.turns import Bounds, Turns
from edge.errors import EdgeError

REMEMBERED_S = 60.0
MAX_REMEMBERED = 10_000
THREADS = 2
PER_TENANT = 8
IN_ALL = 64

Verify = Callable[[str, str], bool]


class Attempt(NamedTuple):
    """A name and a password that somebody shows, and the hash that they are held against."""

    tenant: str
    name: str
    password: str
    hash: str


def verify(password_hash: str, password: str) -> bool:
    """Say whether a password is the one that was hashed; takes as long as the hash demands.

    VerificationError when it cannot be told, for want of memory.
    """
    try:
        return verify_secret(password_hash.encode(), password.encode(), Type.ID)
    except VerifyMismatchError:
        return False


class _Check:
    """An attempt that waits for its turn or is being checked, and how many clients wait for what comes of it."""

    def __init__(self, name: bytes, attempt: Attempt) -> None:
        self.name = name
        self.attempt = attempt
        self.answer: Future[bool] = asyncio.get_running_loop().create_future()
        self.clients = 0
        self.begun_s = 0.0


class PasswordChecks:
    """A worker's checks of passwords; the owner owes `close()`."""

    def __init__(
        self, verify: Verify = verify, *, per_tenant: int = PER_TENANT, now_s: Callable[[], float] = monotonic
    ) -> None:
        self._verify = verify
        self._now_s = now_s
        self._secret = os.urandom(32)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="password")
        self._right_until_s: OrderedDict[bytes, float] = OrderedDict()
        self._asked: dict[bytes, _Check] = {}
        self._turns: Turns[_Check] = Turns(Bounds(THREADS, per_tenant, IN_ALL))

    @property
    def under_way(self) -> int:
        """How many checks have not ended, those that wait for a thread included."""
        return self._turns.under_way

    def knows(self, attempt: Attempt) -> bool:
        """Say whether it was found right within the last minute; no waiting."""
        name = self._name(attempt)
        until_s = self._right_until_s.get(name)
        if until_s is None:
            return False
        if until_s <= self._now_s():
            del self._right_until_s[name]
            return False
        self._right_until_s.move_to_end(name)
        return True

    async def is_right(self, attempt: Attempt) -> bool:
        """Hold a password against its hash; EdgeError `overloaded` when too many wait, above all the tenant's own."""
        name = self._name(attempt)
        check = self._asked.get(name) or self._start(name, attempt)
        check.clients += 1
        try:
            return await asyncio.shield(check.answer)  # one client may go; others wait for the same
        except VerificationError as error:
            raise EdgeError("overloaded", "a password could not be checked") from error
        finally:
            check.clients -= 1
            if not check.clients and self._turns.leave(attempt.tenant, check):
                self._drop(check)

    def close(self) -> None:
        """Let the checks that run end, and start no more."""
        for check in self._turns.leave_all():
            self._drop(check)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, name: bytes, attempt: Attempt) -> _Check:
        check = _Check(name, attempt)
        dropped = self._turns.come(attempt.tenant, check)
        if dropped is check:
            raise _too_many()
        self._asked[name] = check
        if dropped is not None:
            dropped.answer.set_exception(_too_many())
            self._drop(dropped)
        self._begin()
        return check

    def _begin(self) -> None:
        """Give the threads that are free to whose turn it is."""
        while (turn := self._turns.begin()) is not None:
            self._run(turn[1])

    def _run(self, check: _Check) -> None:
        loop = asyncio.get_running_loop()

        def tell(running: ThreadFuture[bool]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody counts any more
                loop.call_soon_threadsafe(self._ended, check, running)

        check.begun_s = self._now_s()
        try:
            running = self._threads.submit(self._verify, check.attempt.hash, check.attempt.password)
        except RuntimeError as error:  # no thread to be had, or none any more
            running = ThreadFuture()
            running.set_exception(VerificationError(str(error)))
        running.add_done_callback(tell)  # the thread's end, whoever still waits for it

    def _drop(self, check: _Check) -> None:
        """Forget a check that has no place any more; who waits for it without an answer waits no longer."""
        del self._asked[check.name]
        check.answer.cancel()

    def _ended(self, check: _Check, running: ThreadFuture[bool]) -> None:
        self._turns.end(check.attempt.tenant, self._now_s() - check.begun_s)
        del self._asked[check.name]
        if running.cancelled():
            check.answer.cancel()
        elif (error := running.exception()) is not None:
            check.answer.set_exception(error)
            check.answer.exception()  # seen, though nobody may wait for it any more
        else:
            check.answer.set_result(running.result())
            if running.result():
                self._remember(check.name)
        self._begin()

    def _remember(self, name: bytes) -> None:
        self._right_until_s[name] = self._now_s() + REMEMBERED_S
        self._right_until_s.move_to_end(name)
        if len(self._right_until_s) > MAX_REMEMBERED:
            self._right_until_s.popitem(last=False)

    def _name(self, attempt: Attempt) -> bytes:
        """Name an attempt by what cannot be turned back; the hash in it, so that a new password ends the old one."""
        digest = blake2b(key=self._secret, digest_size=32)
        for part in attempt:
            data = part.encode()
            digest.update(len(data).to_bytes(4, "big"))
            digest.update(data)
        return digest.digest()


def _too_many() -> EdgeError:
    return EdgeError("overloaded", "too many passwords to check")
