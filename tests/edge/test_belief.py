"""Whether a store that has no such key or session is believed: real ones, that were emptied, set back and replaced."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from edge.belief import Belief
from edge.watcher import Position
from store import keys
from store.catalog import Catalog, Change
from store.client import Client, connect
from store.errors import StoreUnavailable
from tests.fakes.tenants import an_api_key, put

Happen = Callable[[Client], Awaitable[object]]


class Followed:
    """A worker's watcher, as far as it has come."""

    def __init__(self) -> None:
        self.alarm: str | None = None
        self.position = Position()


@pytest_asyncio.fixture
async def raw(redis_url: str) -> AsyncIterator[Client]:
    async with connect(redis_url, "control") as client:
        yield client


@pytest_asyncio.fixture
async def followed(raw: Client) -> Followed:
    """A store with a key, and a worker that has seen all of it."""
    catalog, watcher = Catalog(raw), Followed()
    await catalog.commit(put("other"), 0)
    await catalog.commit(Change("acme", put("acme").record, put_keys=(an_api_key("k1"),)), 0)
    head = await catalog.head()
    watcher.position = Position(head.epoch, head.revision)
    return watcher


def belief(raw: Client, followed: Followed) -> Belief:
    return Belief(Catalog(raw), lambda: followed)


async def test_of_a_store_that_is_followed_both_answers_are_believed(raw: Client, followed: Followed) -> None:
    assert await belief(raw, followed).get_key("acme", "k1") == an_api_key("k1")
    assert await belief(raw, followed).get_key("acme", "k2") is None


async def test_a_key_that_is_there_costs_one_question_and_one_that_is_not_two(raw: Client, followed: Followed) -> None:
    async def asked() -> int:
        told = str(await raw.ask("INFO", "commandstats"), "utf-8")
        return sum(told.count(f"cmdstat_{name}:calls=1,") for name in ("hget", "mget"))

    await raw.ask("CONFIG", "RESETSTAT")
    await belief(raw, followed).get_key("acme", "k1")
    assert await asked() == 1
    await raw.ask("CONFIG", "RESETSTAT")
    await belief(raw, followed).get_key("acme", "k2")
    assert await asked() == 2


@pytest.mark.parametrize(
    ("happen", "word"),
    [
        (lambda raw: raw.ask("FLUSHALL"), "empty"),
        (lambda raw: raw.ask("SET", keys.epoch(), "another"), "replaced"),
        (lambda raw: raw.ask("SET", keys.revision(), 1), "went back"),
    ],
    ids=["emptied", "replaced", "set back"],
)
async def test_a_store_that_is_not_the_one_followed_is_not_believed_to_have_no_such_key_before_anybody_looked(
    raw: Client, followed: Followed, happen: Happen, word: str
) -> None:
    await happen(raw)
    for ask in (belief(raw, followed).get_key("acme", "k2"), belief(raw, followed).confirm()):
        with pytest.raises(StoreUnavailable, match=word):
            await ask


async def test_in_alarm_nothing_is_asked(redis_url: str, followed: Followed) -> None:
    followed.alarm = "the store is empty"
    async with connect("redis://127.0.0.1:1/0", "data") as nowhere:
        with pytest.raises(StoreUnavailable, match="empty"):
            await belief(nowhere, followed).get_key("acme", "k1")
    assert belief(nowhere, followed).fault() == "the store is empty"


async def test_a_worker_that_follows_nothing_yet_doubts_nothing(raw: Client) -> None:
    assert await belief(raw, Followed()).get_key("acme", "k1") is None
