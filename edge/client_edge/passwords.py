"""Checks of passwords against argon2id hashes: costly on purpose, so in threads, few at once, not twice in a minute.

A check takes a processor for a tenth of a second and more memory than a thousand requests. So a tenant has few of them
under way (it names the hashes, and anybody may guess at its door), a name and password that were right are remembered
for a minute under a key that dies with the process, and those who ask the same at the same time share one check.
"""

from __future__ import annotations

import asyncio
import os
from asyncio import Future
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from time import monotonic
from typing import NamedTuple

from argon2.exceptions import VerificationError, VerifyMismatchError
from argon2.low_level import Type, verify_secret

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


class PasswordChecks:
    """A worker's checks of passwords; the owner owes `close()`."""

    def __init__(
        self, verify: Verify = verify, *, per_tenant: int = PER_TENANT, now_s: Callable[[], float] = monotonic
    ) -> None:
        self._verify = verify
        self._per_tenant = per_tenant
        self._now_s = now_s
        self._secret = os.urandom(32)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="password")
        self._right_until_s: OrderedDict[bytes, float] = OrderedDict()
        self._asked: dict[bytes, Future[bool]] = {}
        self._under_way: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """How many checks have not ended, those that wait for a thread included."""
        return self._under_way.total()

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
        """Hold a password against its hash; EdgeError `overloaded` when too many of the tenant's are waiting."""
        name = self._name(attempt)
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = self._start(attempt)
            asked.add_done_callback(lambda done: self._ended(name, done))
        try:
            return await asyncio.shield(asked)  # one client may go; others wait for the same
        except VerificationError as error:
            raise EdgeError("overloaded", "a password could not be checked") from error

    def close(self) -> None:
        """Let the checks that run end, and start no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self, attempt: Attempt) -> Future[bool]:
        tenant = attempt.tenant
        if self._under_way[tenant] >= self._per_tenant or self.under_way >= IN_ALL:
            raise EdgeError("overloaded", "too many passwords to check")
        loop = asyncio.get_running_loop()

        def release(_: ThreadFuture[bool]) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody counts any more
                loop.call_soon_threadsafe(self._release, tenant)

        running = self._threads.submit(self._verify, attempt.hash, attempt.password)
        self._under_way[tenant] += 1
        running.add_done_callback(release)  # the thread's end, whoever still waits for it
        return asyncio.wrap_future(running)

    def _release(self, tenant: str) -> None:
        self._under_way[tenant] -= 1
        if not self._under_way[tenant]:
            del self._under_way[tenant]

    def _ended(self, name: bytes, asked: Future[bool]) -> None:
        del self._asked[name]
        if asked.cancelled() or asked.exception() is not None or not asked.result():
            return
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
