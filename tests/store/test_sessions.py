"""Sessions on a real Redis: what is kept of them, when they end, and who can end them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis

from store import keys
from store.client import Client, connect
from store.codec import CodecError
from store.errors import StoreUnavailable
from store.sealing import Sealer
from store.sessions import MAX_VALUE_BYTES, Kept, Revocations, Sessions, new_session_id
from tests.fakes.timing import steadily
from tests.fakes.waiting import until

SEALER = Sealer([b"k" * 32])
ANN = Kept("ann", {"claims": {"email": "ann@acme.test"}, "began_s": 1})


@pytest_asyncio.fixture
async def data(redis_url: str) -> AsyncIterator[Client]:
    async with connect(redis_url, "data") as opened:
        await opened.ping()
        yield opened


@pytest.fixture
def sessions(data: Client) -> Sessions:
    return Sessions(data, SEALER)


async def begin(sessions: Sessions, tenant: str = "acme", kept: Kept = ANN, idle_s: float = 60) -> str:
    session_id = new_session_id()
    await sessions.put(tenant, session_id, kept, idle_s)
    return session_id


async def test_a_session_is_found_by_its_tenant_and_id_alone(sessions: Sessions) -> None:
    session_id = await begin(sessions)
    assert await sessions.get("acme", session_id, 60) == ANN
    assert await sessions.get("other", session_id, 60) is None
    assert await sessions.get("acme", new_session_id(), 60) is None


async def test_redis_holds_neither_the_id_nor_anything_that_can_be_read(sessions: Sessions, redis_url: str) -> None:
    session_id = await begin(sessions)
    with redis.Redis.from_url(redis_url, decode_responses=False) as raw:
        [name] = raw.keys("{sess:*")
        held = name + b"\0" + raw.get(name)
    assert not [word for word in (session_id, "ann", "acme.test", "claims") if word.encode() in held]


async def test_a_value_moved_to_another_session_or_tenant_is_no_session(sessions: Sessions, client: Client) -> None:
    mine, other = await begin(sessions), new_session_id()
    value = await client.ask("GET", keys.session("acme", mine))
    for name, tenant in ((keys.session("acme", other), "acme"), (keys.session("other", mine), "other")):
        await client.ask("SET", name, value)
        assert await sessions.get(tenant, other if tenant == "acme" else mine, 60) is None


@pytest.mark.parametrize("value", [b"", b"\x01", b"nonsense" * 10])
async def test_bytes_that_are_no_session_are_none(sessions: Sessions, client: Client, value: bytes) -> None:
    await client.ask("SET", keys.session("acme", "x"), value)
    assert await sessions.get("acme", "x", 60) is None


async def test_a_session_sealed_by_the_key_before_goes_on(sessions: Sessions, data: Client) -> None:
    session_id = await begin(sessions)
    assert await Sessions(data, Sealer([b"n" * 32, b"k" * 32])).get("acme", session_id, 60) == ANN
    assert await Sessions(data, Sealer([b"n" * 32])).get("acme", session_id, 60) is None


@steadily
async def test_a_session_ends_when_nobody_reads_it_and_goes_on_when_somebody_does(
    sessions: Sessions, client: Client
) -> None:
    read, unread = await begin(sessions, idle_s=0.4), await begin(sessions, idle_s=0.4)

    async def is_over() -> bool:
        assert await sessions.get("acme", read, 0.4)
        return not await client.ask("EXISTS", keys.session("acme", unread))

    await until(is_over, 5)
    assert await sessions.get("acme", unread, 0.4) is None


async def test_a_session_that_was_deleted_is_over(sessions: Sessions) -> None:
    session_id = await begin(sessions)
    await sessions.delete("acme", session_id)
    await sessions.delete("acme", session_id)
    assert await sessions.get("acme", session_id, 60) is None


async def test_all_sessions_of_a_tenant_end_at_once_and_nobody_elses(sessions: Sessions, client: Client) -> None:
    mine = [await begin(sessions, kept=Kept(subject, {})) for subject in ("ann", "bob", "ann")]
    other = await begin(sessions, "other")
    await Revocations(client).revoke("acme")
    assert [await sessions.get("acme", each, 60) for each in mine] == [None] * 3
    assert await sessions.get("other", other, 60)


async def test_the_sessions_of_a_subject_end_at_once_and_later_ones_live(sessions: Sessions, client: Client) -> None:
    ann, bob = await begin(sessions), await begin(sessions, kept=Kept("bob", {}))
    revocations = Revocations(client)
    await revocations.revoke("acme", "ann")
    assert await sessions.get("acme", ann, 60) is None
    assert await sessions.get("acme", bob, 60)
    again = await begin(sessions)
    assert await sessions.get("acme", again, 60)
    await revocations.revoke("acme", "ann")
    assert await sessions.get("acme", again, 60) is None


async def test_a_session_outlives_the_mark_it_began_under(sessions: Sessions, client: Client) -> None:
    await Revocations(client).revoke("acme", "ann")
    session_id = await begin(sessions)
    await client.ask("DEL", keys.session_mark("acme", "ann"))  # as it expires, a day later
    assert await sessions.get("acme", session_id, 60)


async def test_a_mark_outlives_every_session_and_is_not_kept_for_ever(client: Client) -> None:
    await Revocations(client).revoke("acme", "ann")
    left_ms = await client.ask("PTTL", keys.session_mark("acme", "ann"))
    assert 86_400_000 < left_ms <= 90_000_000


async def test_a_login_is_answered_once(sessions: Sessions) -> None:
    at_once = await asyncio.gather(*(sessions.use_login("acme", "state", 60) for _ in range(5)))
    assert sorted(at_once) == [False, False, False, False, True]
    assert not await sessions.use_login("acme", "state", 60)
    assert await sessions.use_login("other", "state", 60)


async def test_a_session_holds_only_so_much(sessions: Sessions) -> None:
    with pytest.raises(CodecError, match="at most"):
        await sessions.put("acme", "x", Kept("ann", {"claims": "x" * MAX_VALUE_BYTES}), 60)


async def test_a_redis_that_is_gone_is_told_from_a_session_that_is_over() -> None:
    async with connect("redis://127.0.0.1:1/0", "data") as nowhere:
        with pytest.raises(StoreUnavailable):
            await Sessions(nowhere, SEALER).get("acme", "x", 60)


async def test_that_there_is_no_such_session_is_confirmed_and_one_that_is_there_needs_no_confirmation(
    data: Client,
) -> None:
    class Emptied:
        def fault(self) -> None:
            return None

        async def confirm(self) -> None:
            raise StoreUnavailable("the store is empty")

    doubted = Sessions(data, SEALER, belief=Emptied())
    assert await doubted.get("acme", await begin(doubted), 60) == ANN
    with pytest.raises(StoreUnavailable, match="empty"):
        await doubted.get("acme", new_session_id(), 60)
