"""What a worker remembers of sessions: for how long, while the store is lost, and until when it is told to forget."""

from __future__ import annotations

import asyncio

import pytest

from edge.client_edge.sessions.known import CONFIRM_S, GRACE_S, KnownSessions, Seen, Standing, standing
from store.errors import StoreUnavailable
from store.sessions import Kept

ANN = Kept("ann", {})
IDLE_S = 1800.0


class Store:
    """Sessions by id; `is_lost` makes every look-up fail, `gate` holds them up."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.kept: dict[str, Kept] = {"a": ANN}
        self.is_lost = False
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def lookup(self, tenant: str, session_id: str, idle_s: float) -> Kept | None:
        self.asked += 1
        found = self.kept.get(session_id)
        await self.gate.wait()
        if self.is_lost:
            raise StoreUnavailable("down")
        return found

    def known(self, **more: int) -> KnownSessions:
        return KnownSessions(self.lookup, lambda: self.now_s, **more)


@pytest.mark.parametrize(
    ("age_s", "unused_s", "idle_s", "expected"),
    [
        (0, 0, IDLE_S, Standing.FRESH),
        (CONFIRM_S - 1, 0, IDLE_S, Standing.FRESH),
        (CONFIRM_S, 0, IDLE_S, Standing.GRACE),
        (GRACE_S - 1, 0, IDLE_S, Standing.GRACE),
        (GRACE_S, 0, IDLE_S, Standing.OVER),
        (5, 0, 60, Standing.FRESH),
        (6, 0, 60, Standing.GRACE),
        (59, 59, 60, Standing.GRACE),
        (60, 60, 60, Standing.OVER),
        (120, 59, 60, Standing.GRACE),
    ],
)
def test_how_long_the_stores_last_word_is_good(
    age_s: float, unused_s: float, idle_s: float, expected: Standing
) -> None:
    assert standing(Seen(ANN, 0, 1000.0, 1000.0 + age_s - unused_s), 1000.0 + age_s, idle_s) is expected


async def test_a_session_is_asked_for_once_and_confirmed_each_minute() -> None:
    store = Store()
    known = store.known()
    assert known.known("acme", "a", IDLE_S) is None
    assert await known.get("acme", "a", IDLE_S) == ANN
    assert known.known("acme", "a", IDLE_S) == ANN
    assert store.asked == 1
    store.now_s += CONFIRM_S
    assert known.known("acme", "a", IDLE_S) is None
    del store.kept["a"]
    assert await known.get("acme", "a", IDLE_S) is None
    assert len(known) == 0


async def test_a_session_of_one_tenant_is_none_of_anothers() -> None:
    store = Store()
    known = store.known()
    await known.get("acme", "a", IDLE_S)
    assert known.known("other", "a", IDLE_S) is None


async def test_a_page_full_of_requests_asks_once() -> None:
    store = Store()
    store.gate.clear()
    known = store.known()
    waiting = [asyncio.create_task(known.get("acme", "a", IDLE_S)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    store.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [ANN] * 19
    assert store.asked == 1


async def test_while_the_store_is_lost_what_is_known_goes_on_for_five_minutes_and_then_nobody_can_tell() -> None:
    store = Store()
    known = store.known()
    await known.get("acme", "a", IDLE_S)
    store.is_lost = True
    for _ in range(29):
        store.now_s += 10
        assert await known.get("acme", "a", IDLE_S) == ANN
    store.now_s += 10
    with pytest.raises(StoreUnavailable):
        await known.get("acme", "a", IDLE_S)
    with pytest.raises(StoreUnavailable):
        await known.get("acme", "stranger", IDLE_S)


async def test_a_lost_store_is_asked_again_once_a_second_for_what_is_known() -> None:
    store = Store()
    known = store.known()
    await known.get("acme", "a", IDLE_S)
    store.is_lost, store.now_s = True, store.now_s + CONFIRM_S
    for _ in range(5):
        await known.get("acme", "a", IDLE_S)
    assert store.asked == 2
    store.is_lost, store.now_s = False, store.now_s + 1
    del store.kept["a"]
    assert await known.get("acme", "a", IDLE_S) is None


async def test_a_session_that_nobody_uses_ends_while_the_store_is_lost_too() -> None:
    store = Store()
    known = store.known()
    await known.get("acme", "a", 60)
    store.is_lost, store.now_s = True, store.now_s + 60
    with pytest.raises(StoreUnavailable):
        await known.get("acme", "a", 60)


async def test_a_tenant_that_changed_is_asked_for_again_and_has_no_grace() -> None:
    store = Store()
    known = store.known()
    await known.get("acme", "a", IDLE_S)
    await known.get("other", "a", IDLE_S)
    known.forget("acme")
    assert known.known("acme", "a", IDLE_S) is None
    assert known.known("other", "a", IDLE_S) == ANN
    store.is_lost = True
    with pytest.raises(StoreUnavailable):
        await known.get("acme", "a", IDLE_S)


async def test_what_was_read_before_a_revocation_is_not_remembered_after_it() -> None:
    store = Store()
    store.gate.clear()
    known = store.known()
    waiting = asyncio.create_task(known.get("acme", "a", IDLE_S))
    await asyncio.sleep(0)
    known.forget("acme")
    store.gate.set()
    await waiting
    assert known.known("acme", "a", IDLE_S) is None


async def test_what_was_read_before_a_logout_is_not_remembered_after_it() -> None:
    store = Store()
    store.gate.clear()
    known = store.known()
    waiting = asyncio.create_task(known.get("acme", "a", IDLE_S))
    await asyncio.sleep(0)
    known.drop("acme", "a")
    store.gate.set()
    await waiting
    assert known.known("acme", "a", IDLE_S) is None


async def test_only_so_many_are_remembered() -> None:
    store = Store()
    store.kept = {str(number): ANN for number in range(10)}
    known = store.known(max_known=3)
    for session_id in store.kept:
        await known.get("acme", session_id, IDLE_S)
    assert len(known) == 3
    assert known.known("acme", "9", IDLE_S) == ANN
