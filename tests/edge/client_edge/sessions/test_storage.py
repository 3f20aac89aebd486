"""aiohttp-session's storage on a real Redis, called as the library's own middleware calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis
from aiohttp_session import AbstractStorage, Session

from edge.client_edge.sessions.known import KnownSessions
from edge.client_edge.sessions.storage import COOKIE_PREFIX, CookieAnswer, CookieRequest, RedisStorage
from store.client import connect
from store.codec import CodecError
from store.sealing import Sealer
from store.sessions import Kept, Sessions

NAME = f"{COOKIE_PREFIX}login"


@pytest_asyncio.fixture
async def sessions(redis_url: str) -> AsyncIterator[Sessions]:
    async with connect(redis_url, "data") as client:
        await client.ping()
        yield Sessions(client, Sealer([b"k" * 32]))


@pytest.fixture
def storage(sessions: Sessions) -> RedisStorage:
    return RedisStorage("acme", "login", 60, sessions, KnownSessions(sessions.get))


async def saved(storage: RedisStorage, session: Session, **cookies: str) -> dict[str, str]:
    """Save a session; gives the cookies that the browser has then."""
    answer = CookieAnswer()
    await storage.save_session(CookieRequest(cookies), answer, session)
    pairs = [line.partition(";")[0].partition("=") for line in answer.lines]
    return {**cookies, **{name: value for name, _, value in pairs}}


async def begun(storage: RedisStorage, subject: str = "ann", **cookies: str) -> dict[str, str]:
    session = await storage.new_session()
    session["subject"] = subject
    session["plan"] = "gold"
    return await saved(storage, session, **cookies)


async def test_it_is_a_storage_of_the_library(storage: RedisStorage) -> None:
    assert isinstance(storage, AbstractStorage)
    session = await storage.load_session(CookieRequest({}))
    assert (session.new, session.empty, session.identity) == (True, True, None)


async def test_what_a_session_holds_is_there_when_the_browser_comes_back(storage: RedisStorage) -> None:
    cookies = await begun(storage)
    session = await storage.load_session(CookieRequest(cookies))
    assert (session.new, session.identity, dict(session)) == (False, cookies[NAME], {"subject": "ann", "plan": "gold"})
    assert await storage.find(cookies[NAME]) == Kept("ann", {"plan": "gold"})


async def test_a_change_is_kept_under_the_same_id_and_seen_at_once(storage: RedisStorage) -> None:
    cookies = await begun(storage)
    assert await storage.find(cookies[NAME])
    session = await storage.load_session(CookieRequest(cookies))
    session["plan"] = "silver"
    assert await saved(storage, session, **cookies) == cookies
    assert storage.peek(cookies[NAME]) is None
    assert await storage.find(cookies[NAME]) == Kept("ann", {"plan": "silver"})


async def test_a_new_session_has_a_new_id_and_the_old_one_is_gone(storage: RedisStorage) -> None:
    first = await begun(storage)
    assert await storage.find(first[NAME])
    second = await begun(storage, "bob", **first)
    assert second[NAME] != first[NAME]
    assert await storage.find(first[NAME]) is None


async def test_a_session_that_is_emptied_is_gone_here_and_in_the_browser(storage: RedisStorage, redis_url: str) -> None:
    cookies = await begun(storage)
    session = await storage.load_session(CookieRequest(cookies))
    session.invalidate()
    assert await saved(storage, session, **cookies) == {NAME: ""}
    assert await storage.find(cookies[NAME]) is None
    with redis.Redis.from_url(redis_url) as raw:
        assert not list(raw.scan_iter("{sess:*"))


async def test_two_methods_and_two_tenants_have_sessions_apart(storage: RedisStorage, sessions: Sessions) -> None:
    cookies = await begun(storage)
    for tenant, method in (("acme", "staff"), ("other", "login")):
        other = RedisStorage(tenant, method, 60, sessions, KnownSessions(sessions.get))
        assert await other.find(cookies[NAME]) is None


@pytest.mark.parametrize("shown", ["", "x", "x" * 42, "x" * 44, "x" * 5000])
async def test_what_cannot_be_an_id_is_not_looked_for(storage: RedisStorage, shown: str) -> None:
    assert storage.session_id({NAME: shown}) is None


async def test_a_session_that_holds_too_much_is_not_kept(storage: RedisStorage) -> None:
    session = await storage.new_session()
    session.update(subject="ann", story="x" * 100_000)
    with pytest.raises(CodecError):
        await saved(storage, session)
