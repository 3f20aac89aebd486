"""The key sets of issuers, fetched in the background, so that a token is judged without asking anybody.

A set is fetched when somebody first shows a token of its issuer, anew when it is due and still in use, and at most once
in 30 s because of a key that it does not have. While the issuer is down the last set goes on for 24 h; after that, and
where there never was one, nobody can tell who calls: EdgeError `auth_unavailable`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from edge.client_edge.jwks import PublicKey, pick, read_key_set
from edge.errors import EdgeError
from edge.outgoing import Answer, Outgoing

STALE_S = 86_400.0
REFRESH_S, MIN_REFRESH_S, MAX_REFRESH_S = 600.0, 60.0, 3600.0
UNKNOWN_KEY_PAUSE_S = 30.0
MAX_PAUSE_S = 30.0
FETCH_TIMEOUT_S = 5.0
MAX_KEYS_HELD = 40_000
_ACCEPT = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
_MAX_AGE = re.compile(r'(?:^|[,\s])max-age="?([0-9]{1,9})', re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|[,\s])no-(?:cache|store)\b", re.IGNORECASE)

log = logging.getLogger("portico.edge")

Ask = Callable[[str, str], Awaitable[Answer]]
"""Asks what the URL that a tenant has named answers."""


def asking(outgoing: Outgoing) -> Ask:
    """Make the function that asks issuers for their sets, through the egress filter."""

    async def ask(tenant: str, url: str) -> Answer:
        return await outgoing.of(tenant).ask("GET", url, _ACCEPT, timeout_s=FETCH_TIMEOUT_S)

    return ask


class Verdict(Enum):
    """What to do with a token: judge it by the set, refuse it, wait for a fetch, or say that nobody can tell."""

    USE = 1
    REFUSE = 2
    WAIT = 3
    LOST = 4


class Step(NamedTuple):
    """What to do with a token, and whether a fetch is to be under way."""

    verdict: Verdict
    fetch: bool = False


@dataclass(frozen=True, slots=True)
class SetState:
    """What is known of an issuer's set, and how its last fetches went; times are seconds of one clock."""

    keys: tuple[PublicKey, ...] = ()
    fetched_s: float = -math.inf
    refresh_s: float = REFRESH_S
    asked_s: float = -math.inf
    """When the last fetch began, or else has failed."""
    is_asking: bool = False
    failures: int = 0
    """Since the last fetch that brought a set."""

    def retry_at_s(self) -> float:
        """Say when the issuer may be asked again after its failures."""
        return self.asked_s + min(MAX_PAUSE_S, 2.0 ** min(self.failures - 1, 10)) if self.failures else -math.inf


def decide(state: SetState, now_s: float, *, has_key: bool) -> Step:
    """Decide about a token whose key is, or is not, in the set."""
    may_ask = now_s >= state.retry_at_s()
    age_s = now_s - state.fetched_s
    if not state.keys or age_s >= STALE_S:
        return Step(Verdict.WAIT, fetch=True) if may_ask or state.is_asking else Step(Verdict.LOST)
    if has_key:
        if age_s < state.refresh_s:
            return Step(Verdict.USE)
        # Nobody has called for long: a key may have been withdrawn ages ago, so the issuer is asked first.
        is_forgotten = not state.failures and age_s >= 2 * state.refresh_s
        return Step(Verdict.WAIT if is_forgotten else Verdict.USE, fetch=may_ask)
    if state.is_asking:
        return Step(Verdict.WAIT)
    if now_s >= state.asked_s + UNKNOWN_KEY_PAUSE_S:
        return Step(Verdict.WAIT, fetch=True)
    return Step(Verdict.LOST if state.failures else Verdict.REFUSE)


def refresh_after_s(fields: Mapping[str, str]) -> float:
    """Say when a set is due again: after its `max-age` (RFC 9111 section 5.2.2.1), within bounds of ours."""
    told = fields.get("Cache-Control", "")
    if _NOT_KEPT.search(told):
        return MIN_REFRESH_S
    found = _MAX_AGE.search(told)
    return REFRESH_S if found is None else min(MAX_REFRESH_S, max(MIN_REFRESH_S, float(found[1])))


class KeySet:
    """The set of one issuer for one tenant; whoever holds it owes `release()`."""

    def __init__(self, name: tuple[str, str], sets: KeySets) -> None:
        self.name = name
        self.state = SetState()
        self.holders = 0
        self.used_s = 0.0
        self._sets = sets
        self._fingerprints: frozenset[bytes] = frozenset()
        self._fetch: asyncio.Task[None] | None = None

    def trusts(self, fingerprint: bytes) -> bool:
        """Say, without waiting, whether a key is in the set and the set may be used."""
        return fingerprint in self._fingerprints and self._consult(has_key=True) is Verdict.USE

    async def key(self, kid: str | None, algorithm: str) -> PublicKey | None:
        """Give the key that a token names, None when the issuer has no such; EdgeError when nobody can tell."""
        for _ in range(3):  # what one fetch brings may be what the next round is about
            found = pick(self.state.keys, kid, algorithm)
            verdict = self._consult(has_key=found is not None)
            if verdict is Verdict.USE or verdict is Verdict.REFUSE:
                return found
            if verdict is Verdict.LOST or self._fetch is None:
                break
            await asyncio.wait({self._fetch})  # it has a deadline, and goes on if this request's client goes
        pause_s = max(1.0, self.state.retry_at_s() - self._sets.now_s())
        raise EdgeError("auth_unavailable", "an issuer's key set", retry_after_s=pause_s)

    def drop(self) -> None:
        """Forget the keys, to make room; the next token has them fetched again."""
        self.state = replace(self.state, keys=(), fetched_s=-math.inf)
        self._fingerprints = frozenset()

    def release(self) -> None:
        """Give it back; a fetch under way ends in its own time."""
        self._sets.release(self)

    def _consult(self, *, has_key: bool) -> Verdict:
        now_s = self.used_s = self._sets.now_s()
        verdict, fetch = decide(self.state, now_s, has_key=has_key)
        if fetch and self._fetch is None and not self._sets.is_closed:
            self.state = replace(self.state, asked_s=now_s, is_asking=True)
            self._fetch = self._sets.start(self._ask())
        return verdict

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                keys, refresh_s = await self._sets.fetch(self.name)
        except Exception as error:  # whatever an issuer's answer can do, it does it to its own set alone
            # The pause begins now: one from the start of a slow fetch would be over, and who waits would wait again.
            self.state = replace(self.state, failures=self.state.failures + 1, asked_s=self._sets.now_s())
            if self.state.failures == 1:
                log.warning("tenant %s: a key set cannot be fetched: %s", self.name[0], str(error) or "too slow")
        else:
            now_s = self._sets.now_s()
            self.state = replace(self.state, keys=keys, fetched_s=now_s, refresh_s=refresh_s, failures=0)
            self._fingerprints = frozenset(each.fingerprint for each in keys)
            self._sets.make_room(self)
        finally:
            self.state = replace(self.state, is_asking=False)
            self._fetch = None


class KeySets:
    """All key sets of a worker, those of a tenant apart from any other's; the owner owes `aclose()`.

    `ask` gets what a tenant's URL answers; `now_s` may stand still but never goes back. Of more than `max_keys` keys,
    those that have not been used the longest are forgotten.
    """

    def __init__(self, ask: Ask, now_s: Callable[[], float] = time.monotonic, *, max_keys: int = MAX_KEYS_HELD) -> None:
        self.now_s = now_s
        self.is_closed = False
        self._ask = ask
        self._max_keys = max_keys
        self._sets: dict[tuple[str, str], KeySet] = {}
        self._fetches: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._sets)

    def hold(self, tenant: str, url: str) -> KeySet:
        """Give a tenant's set of this URL, the same one to all who hold it; nothing is fetched yet."""
        name = (tenant, url)
        held = self._sets.get(name)
        if held is None:
            held = self._sets[name] = KeySet(name, self)
        held.holders += 1
        return held

    def release(self, held: KeySet) -> None:
        """Let go of a set; with its last holder it goes."""
        held.holders -= 1
        if not held.holders:
            del self._sets[held.name]

    def start(self, fetch: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Start a fetch, which ends by itself or with this worker."""
        task = asyncio.create_task(fetch)
        self._fetches.add(task)
        task.add_done_callback(self._fetches.discard)
        return task

    async def fetch(self, name: tuple[str, str]) -> tuple[tuple[PublicKey, ...], float]:
        """Ask an issuer for its set, and say when to ask again; EdgeError or ValueError when it gives none."""
        answer = await self._ask(*name)
        if answer.status != 200:
            raise ValueError(f"the issuer answered {answer.status}")
        return read_key_set(answer.body), refresh_after_s(answer.fields)

    def make_room(self, newest: KeySet) -> None:
        """Have the sets forgotten that nobody has used the longest, while there are more keys than may be held."""
        held = [each for each in self._sets.values() if each.state.keys and each is not newest]
        over = sum(len(each.state.keys) for each in held) + len(newest.state.keys) - self._max_keys
        if over <= 0:
            return
        for each in sorted(held, key=lambda known: known.used_s):
            over -= len(each.state.keys)
            each.drop()
            if over <= 0:
                return

    async def aclose(self) -> None:
        """End the fetches that are under way, and begin no more."""
        self.is_closed = True
        for task in self._fetches:
            task.cancel()
        await asyncio.gather(*self._fetches, return_exceptions=True)
