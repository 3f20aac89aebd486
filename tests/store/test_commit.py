"""lua/commit.lua through the catalog: one change, all of it or nothing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

from store import keys
from store.catalog import KEEP, Catalog, Change
from store.client import Client, connect
from store.codec import DomainState, TenantRecord
from store.embedded import RedisProcess
from store.errors import (
    AlreadyExists,
    HostClaimed,
    NotFound,
    RevisionConflict,
    StoreRefused,
    StoreUnavailable,
)
from store.feed import Tick, read_tick
from store.model import PLANS
from tests.fakes.tenants import a_record, an_api_key, everything, put


async def test_the_epoch_is_made_once_and_never_again(catalog: Catalog) -> None:
    await catalog.commit(put("acme"), None)
    epoch = (await catalog.head()).epoch
    await catalog.commit(put("globex"), None)
    await catalog.commit(Change("acme", None), None)
    assert len(epoch) == 32
    assert (await catalog.head()).epoch == epoch


@pytest.mark.parametrize(("exists", "expected", "current"), [(True, 0, 1), (True, 7, 1), (False, 3, 0)])
async def test_an_unexpected_revision_changes_nothing(
    catalog: Catalog, redis_url: str, exists: bool, expected: int, current: int
) -> None:
    if exists:
        await catalog.commit(put("acme", "a.test"), 0)
    before = await everything(redis_url)
    with pytest.raises(RevisionConflict) as caught:
        await catalog.commit(put("acme", "b.test"), expected)
    assert caught.value.current == current
    assert await everything(redis_url) == before


async def test_a_host_of_another_tenant_is_refused_by_name_and_nothing_is_written(
    catalog: Catalog, redis_url: str
) -> None:
    await catalog.commit(put("acme", "a.test", "b.test"), 0)
    before = await everything(redis_url)
    with pytest.raises(HostClaimed) as caught:
        await catalog.commit(put("globex", "new.test", "b.test", "a.test"), 0)
    assert caught.value.hosts == ("a.test", "b.test")
    assert "acme" not in str(caught.value)
    assert await everything(redis_url) == before


async def test_of_many_tenants_racing_for_one_host_exactly_one_wins(redis_url: str) -> None:
    async with connect(redis_url, "control") as one, connect(redis_url, "control") as two:
        catalogs = [Catalog(one), Catalog(two)]
        outcomes = await asyncio.gather(
            *(catalogs[n % 2].commit(put(f"t{n}", "shop.test", f"own{n}.test"), 0) for n in range(40)),
            return_exceptions=True,
        )
        winners = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
        losers = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(winners) == 1
        assert all(isinstance(loser, HostClaimed) and loser.hosts == ("shop.test",) for loser in losers)
        assert await catalogs[0].host_owner("shop.test") == f"t{winners[0]}"
        assert len((await catalogs[0].tenants()).items) == 1


async def test_of_two_writers_with_the_same_etag_exactly_one_wins(catalog: Catalog) -> None:
    await catalog.commit(put("acme"), 0)
    outcomes = await asyncio.gather(
        *(catalog.commit(put("acme", name=f"n{n}"), 1) for n in range(10)), return_exceptions=True
    )
    assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, RevisionConflict) and outcome.current == 2 for outcome in outcomes) == 9


async def test_a_host_given_up_is_free_for_others(catalog: Catalog) -> None:
    await catalog.commit(put("acme", "a.test", "b.test"), 0)
    await catalog.commit(put("acme", "b.test"), None)
    await catalog.commit(put("globex", "a.test"), 0)
    assert await catalog.host_owner("a.test") == "globex"
    assert await catalog.host_owner("b.test") == "acme"


async def test_hosts_on_their_way_in_or_out_are_claimed_too(catalog: Catalog) -> None:
    record = TenantRecord({"tenant": "acme"}, {"held.test": DomainState("held.test", "held")})
    await catalog.commit(Change("acme", record), 0)
    with pytest.raises(HostClaimed):
        await catalog.commit(put("globex", "held.test"), 0)


async def test_claims_given_by_the_caller_replace_those_of_the_record(catalog: Catalog) -> None:
    await catalog.commit(Change("acme", a_record("acme", "a.test"), claims=frozenset({"b.test"})), 0)
    assert await catalog.host_owner("a.test") is None
    assert await catalog.host_owner("b.test") == "acme"


async def test_deleting_a_tenant_frees_its_hosts_and_leaves_only_a_tombstone(catalog: Catalog, redis_url: str) -> None:
    await catalog.commit(Change("acme", a_record("acme", "a.test"), put_keys=(an_api_key("k1"),)), 0)
    commit = await catalog.commit(Change("acme", None, actor="ann", action="tenant.delete"), 1)
    assert await catalog.get("acme") is None
    assert (await catalog.tenants()).items == []
    assert await catalog.list_keys("acme") == []
    assert await catalog.history("acme") == []
    (item,) = (await catalog.changes_since(0)).items
    assert (item.tenant, item.revision, item.payload) == ("acme", commit.revision, None)
    left = set(await everything(redis_url))
    assert left.isdisjoint({str(name(*args).encode()) for name, *args in OF_A_TENANT})
    await catalog.commit(put("globex", "a.test"), 0)


@pytest.mark.parametrize("name", ["acme", PLANS])
async def test_a_document_that_no_change_deleted_is_told_from_one_that_was(
    catalog: Catalog, redis_url: str, name: str
) -> None:
    async def is_lost() -> tuple[bool, bool]:
        (item,) = (await catalog.changes_since(0)).items
        return item.payload is None, item.is_lost

    await catalog.commit(put(name), 0)
    assert await is_lost() == (False, False)
    with redis.Redis.from_url(redis_url) as raw:
        raw.hdel(keys.documents(), name)
    assert await is_lost() == (True, True)
    await catalog.commit(put(name), None)
    await catalog.commit(Change(name, None), None)
    assert await is_lost() == (True, False)
    with redis.Redis.from_url(redis_url) as raw:
        raw.set(keys.history(name), "no list")
    assert await is_lost() == (True, False)


OF_A_TENANT: list[tuple[Callable[..., str], str]] = [
    (keys.claims, "acme"),
    (keys.history, "acme"),
    (keys.api_keys, "acme"),
]


@pytest.mark.parametrize("record", [None, KEEP])
async def test_what_is_not_there_can_be_neither_deleted_nor_kept(catalog: Catalog, redis_url: str, record: Any) -> None:
    with pytest.raises(NotFound, match="tenant acme"):
        await catalog.commit(Change("acme", record), None)
    assert await everything(redis_url) == {}


async def test_a_key_moves_the_tenant_but_not_its_document(catalog: Catalog) -> None:
    await catalog.commit(put("acme", "a.test"), 0)
    commit = await catalog.commit(Change("acme", KEEP, put_keys=(an_api_key("k1"),)), 1)
    (item,) = (await catalog.changes_since(1)).items
    assert commit.revision == 2
    assert (item.revision, item.doc_revision, item.callers_revision) == (2, 1, 2)
    assert await catalog.get_key("acme", "k1") == an_api_key("k1")
    assert await catalog.host_owner("a.test") == "acme"
    await catalog.commit(put("acme", "a.test", name="x"), 1)  # the ETag is still the document's


async def test_a_document_moves_the_tenant_and_not_its_callers_unless_a_key_comes_with_it(catalog: Catalog) -> None:
    async def callers() -> int:
        (item,) = (await catalog.changes_since(0)).items
        return item.callers_revision

    await catalog.commit(put("acme", "a.test"), 0)
    assert await callers() == 0
    await catalog.commit(Change("acme", a_record("acme"), put_keys=(an_api_key("k1"),)), 1)
    await catalog.commit(put("acme", "a.test"), 2)
    assert await callers() == 2
    await catalog.commit(Change("acme", KEEP), None)  # as when sessions are ended
    assert await callers() == 4
    await catalog.commit(put("acme", "b.test"), 3)
    assert await callers() == 4
    await catalog.commit(Change("acme", a_record("acme"), drop_keys=("k1",)), 5)
    assert await callers() == 6
    await catalog.commit(Change("acme", None), 6)
    await catalog.commit(put("acme", "a.test"), 0)  # another tenant, of the same name
    assert await callers() == 7


async def test_a_reused_key_id_is_refused(catalog: Catalog, redis_url: str) -> None:
    await catalog.commit(Change("acme", a_record("acme"), put_keys=(an_api_key("k1"),)), 0)
    before = await everything(redis_url)
    with pytest.raises(AlreadyExists, match="API key k1"):
        await catalog.commit(Change("acme", KEEP, put_keys=(an_api_key("k2"), an_api_key("k1", 9))), None)
    assert await everything(redis_url) == before


async def test_a_key_may_be_replaced_by_dropping_it_in_the_same_change(catalog: Catalog) -> None:
    await catalog.commit(Change("acme", a_record("acme"), put_keys=(an_api_key("k1"),)), 0)
    await catalog.commit(Change("acme", KEEP, put_keys=(an_api_key("k1", 9),), drop_keys=("k1",)), None)
    assert await catalog.get_key("acme", "k1") == an_api_key("k1", 9)


async def test_dropping_a_key_that_is_not_there_is_refused(catalog: Catalog) -> None:
    await catalog.commit(put("acme"), 0)
    with pytest.raises(NotFound, match="API key k9"):
        await catalog.commit(Change("acme", KEEP, drop_keys=("k9",)), None)


def test_a_change_cannot_delete_a_tenant_and_touch_its_keys() -> None:
    with pytest.raises(ValueError, match="API keys"):
        Change("acme", None, drop_keys=("k1",))


WRONG_TYPE: list[str] = [
    keys.epoch(),
    keys.documents(),
    keys.changes(),
    keys.names(),
    keys.hosts(),
    keys.claims("acme"),
    keys.history("acme"),
    keys.api_keys("acme"),
    keys.audit(),
    keys.callers(),
    keys.run(),
]


@pytest.mark.parametrize("damaged", WRONG_TYPE)
async def test_a_damaged_key_refuses_the_commit_before_anything_is_written(
    catalog: Catalog, redis_url: str, damaged: str
) -> None:
    await catalog.commit(put("other", "o.test"), 0)
    with redis.Redis.from_url(redis_url) as raw:
        raw.delete(damaged)
        if damaged in (keys.epoch(), keys.run()):
            raw.lpush(damaged, "x")
        else:
            raw.set(damaged, "x")
    before = await everything(redis_url)
    with pytest.raises(StoreRefused):
        await catalog.commit(Change("acme", a_record("acme", "a.test"), put_keys=(an_api_key("k1"),)), 0)
    assert await everything(redis_url) == before


async def test_a_revision_that_is_no_number_refuses_the_commit(catalog: Catalog, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.set(keys.revision(), "many")
    before = await everything(redis_url)
    with pytest.raises(StoreRefused):
        await catalog.commit(put("acme"), 0)
    assert await everything(redis_url) == before


async def test_a_commit_sent_twice_happens_once(
    client: Client, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[Any, ...]] = []
    converse = client.converse

    async def twice(talk: Any, *, is_write: bool = False) -> Any:
        first = await converse(talk, is_write=is_write)
        sent.append(first)
        return await converse(talk, is_write=is_write)

    monkeypatch.setattr(client, "converse", twice)
    commit = await catalog.commit(Change("acme", a_record("acme"), put_keys=(an_api_key("k1"),)), 0)
    monkeypatch.undo()
    assert sent[0][0] == [b"ok", 1]
    assert commit.revision == 1
    assert (await catalog.head()).revision == 1
    assert len(await catalog.audit()) == 1


async def test_a_commit_tells_the_channel_what_changed(catalog: Catalog, redis_url: str) -> None:
    async with connect(redis_url, "feed") as feed_client:
        connection = await feed_client.open_connection()
        await connection.send_command("SUBSCRIBE", keys.tick_channel())
        await connection.read_response()
        await catalog.commit(put("acme"), 0)
        kind, channel, message = await connection.read_response(timeout=5)
        await connection.disconnect()
    assert (kind, channel) == (b"message", keys.tick_channel().encode())
    assert read_tick(message) == Tick(1, "acme", "put")


async def test_a_write_to_a_stopped_redis_fails_clearly_and_is_not_called_ambiguous(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "control") as client:
        own_redis.stop()
        with pytest.raises(StoreUnavailable) as caught:
            await Catalog(client).commit(put("acme"), 0)
    assert not caught.value.ambiguous
    assert caught.value.retry_safe


async def test_a_write_to_a_frozen_redis_is_called_ambiguous(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "control") as client:
        catalog = Catalog(client)
        await catalog.commit(put("acme"), 0)
        own_redis.pause()
        try:
            with pytest.raises(StoreUnavailable) as caught:
                await catalog.commit(put("acme", name="maybe"), 1)
        finally:
            own_redis.resume()
        assert caught.value.ambiguous
        assert not caught.value.retry_safe
