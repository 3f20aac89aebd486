"""store/catalog.py: what is kept is read back, page by page and change by change."""

from __future__ import annotations

import pytest
import redis

from store import keys
from store.catalog import KEEP, Catalog, Change
from store.client import connect
from store.errors import (
    AlreadyExists,
    NotFound,
    RecordUnreadable,
    StoreRefused,
)
from store.scripts import script
from tests.fakes.tenants import a_record, a_token, an_api_key, put


async def test_an_empty_store_has_no_epoch_and_revision_0(catalog: Catalog) -> None:
    head = await catalog.head()
    assert (head.epoch, head.revision) == ("", 0)
    changes = await catalog.changes_since(0)
    assert (changes.epoch, changes.revision, changes.items, changes.complete) == ("", 0, (), True)
    assert (await catalog.tenants()).items == []
    assert await catalog.get("acme") is None


async def test_a_revision_counter_that_is_no_number_is_said_so(catalog: Catalog, redis_url: str) -> None:
    await catalog.commit(put("acme"), 0)
    with redis.Redis.from_url(redis_url) as raw:
        raw.set(keys.revision(), "hello")
    for asking in (catalog.head(), catalog.changes_since(0), catalog.commit(put("acme", name="x"), None)):
        with pytest.raises(StoreRefused, match=r"number|BADREVISION"):
            await asking


async def test_a_committed_document_is_read_back_with_its_revision(catalog: Catalog) -> None:
    commit = await catalog.commit(put("acme", "a.test"), 0)
    stored = await catalog.get("acme")
    assert commit.revision == 1
    assert commit.durable is None
    assert stored is not None
    assert stored.revision == 1
    assert stored.record() == a_record("acme", "a.test")
    assert await catalog.host_owner("a.test") == "acme"
    assert (await catalog.head()).revision == 1


async def test_history_keeps_the_last_revisions_of_the_document(catalog: Catalog) -> None:
    for n in range(25):
        await catalog.commit(put("acme", name=f"n{n}"), None)
    await catalog.commit(Change("acme", KEEP, put_keys=(an_api_key("k1"),)), None)
    entries = await catalog.history("acme")
    assert [entry.revision for entry in entries] == list(range(25, 5, -1))
    assert {(entry.actor, entry.action) for entry in entries} == {("ann", "tenant.put")}
    assert entries[0].at_ms > 1_700_000_000_000
    assert (await catalog.record_at("acme", 10)).document["name"] == "n9"
    with pytest.raises(NotFound, match="revision 5 of tenant acme"):
        await catalog.record_at("acme", 5)


async def test_a_damaged_entry_of_the_history_hides_no_other(catalog: Catalog, redis_url: str) -> None:
    for n in range(3):
        await catalog.commit(put("acme", name=f"n{n}"), None)
    with redis.Redis.from_url(redis_url) as raw:
        raw.lset(keys.history("acme"), 1, "damaged")
    assert [entry.revision for entry in await catalog.history("acme")] == [3, 1]
    assert (await catalog.record_at("acme", 1)).document["name"] == "n0"
    with pytest.raises(NotFound):
        await catalog.record_at("acme", 2)


async def test_every_commit_is_in_the_audit_log_newest_first(catalog: Catalog) -> None:
    await catalog.commit(put("acme"), 0)
    await catalog.commit(Change("acme", KEEP, (an_api_key("k1"),), (), None, "bob", "key.create", {"id": "k1"}), None)
    newest, oldest = await catalog.audit()
    assert (newest.tenant, newest.revision, newest.actor, newest.action) == ("acme", 2, "bob", "key.create")
    assert newest.detail == {"id": "k1"}
    assert newest.at_ms > 1_700_000_000_000
    assert oldest.action == "tenant.put"
    assert await catalog.audit(limit=1) == [newest]
    assert await catalog.audit(newest.cursor) == [oldest]
    assert await catalog.audit(oldest.cursor) == []


async def test_tenants_are_paged_by_name_without_gap_or_repeat(catalog: Catalog) -> None:
    names = sorted(f"t{n}" for n in range(25))
    for name in reversed(names):
        await catalog.commit(put(name), 0)
    seen, cursor = [], None
    while True:
        page = await catalog.tenants(cursor, limit=10)
        seen += [stored.tenant for stored in page.items]
        cursor = page.cursor
        if cursor is None:
            break
        assert len(page.items) == 10
    assert seen == names


async def test_pages_are_bounded_in_bytes_and_still_complete(catalog: Catalog) -> None:
    for n in range(7):
        await catalog.commit(put(f"t{n}", name="x" * 1_000_000), 0)
    page = await catalog.tenants()
    assert [stored.tenant for stored in page.items] == ["t0", "t1", "t2", "t3"]
    assert [stored.tenant for stored in (await catalog.tenants(page.cursor)).items] == ["t4", "t5", "t6"]
    changes = await catalog.changes_since(0)
    assert [item.tenant for item in changes.items] == ["t0", "t1", "t2", "t3"]
    assert not changes.complete
    rest = await catalog.changes_since(changes.items[-1].revision)
    assert [item.tenant for item in rest.items] == ["t4", "t5", "t6"]
    assert rest.complete


async def test_changes_come_in_the_order_of_the_last_change_of_each_tenant(catalog: Catalog) -> None:
    for name in ("a", "b", "c"):
        await catalog.commit(put(name), 0)
    await catalog.commit(put("a", name="again"), None)
    everything = await catalog.changes_since(0)
    assert [(item.tenant, item.revision) for item in everything.items] == [("b", 2), ("c", 3), ("a", 4)]
    assert everything.revision == 4
    page = await catalog.changes_since(2, limit=1)
    assert ([item.tenant for item in page.items], page.complete, page.revision) == (["c"], False, 4)
    assert (await catalog.changes_since(4)).items == ()


async def test_a_document_made_unreadable_is_one_tenants_trouble(catalog: Catalog, redis_url: str) -> None:
    await catalog.commit(put("acme"), 0)
    await catalog.commit(put("globex"), 0)
    for damage in (b"", b"short", b"\x00" * 8 + b"garbage"):
        with redis.Redis.from_url(redis_url) as raw:
            raw.hset(keys.documents(), "acme", damage)
        stored = await catalog.get("acme")
        assert stored is not None
        with pytest.raises(RecordUnreadable, match="tenant acme"):
            stored.record()
        items = {item.tenant: item for item in (await catalog.changes_since(0)).items}
        assert items["acme"].payload is not None
        assert len((await catalog.tenants()).items) == 2
    await catalog.commit(put("acme", name="mended"), None)
    mended = await catalog.get("acme")
    assert mended is not None
    assert mended.record().document["name"] == "mended"


async def test_keys_are_listed_oldest_first_and_dropped_by_id(catalog: Catalog) -> None:
    await catalog.commit(put("acme"), 0)
    await catalog.commit(Change("acme", KEEP, put_keys=(an_api_key("k2", 20), an_api_key("k1", 30))), None)
    assert [key.id for key in await catalog.list_keys("acme")] == ["k2", "k1"]
    await catalog.commit(Change("acme", KEEP, drop_keys=("k2",)), None)
    assert [key.id for key in await catalog.list_keys("acme")] == ["k1"]
    assert await catalog.get_key("acme", "k2") is None


async def test_tokens_are_kept_listed_and_forgotten_with_an_audit_entry_each(catalog: Catalog) -> None:
    await catalog.put_token(a_token("t2", 20), actor="ann")
    await catalog.put_token(a_token("t1", 30), actor="ann")
    assert [token.id for token in await catalog.list_tokens()] == ["t2", "t1"]
    assert await catalog.get_token("t1") == a_token("t1", 30)
    with pytest.raises(AlreadyExists, match="token t1"):
        await catalog.put_token(a_token("t1"))
    await catalog.delete_token("t1", actor="bob")
    assert await catalog.get_token("t1") is None
    with pytest.raises(NotFound, match="token t1"):
        await catalog.delete_token("t1")
    entries = await catalog.audit()
    assert [(entry.actor, entry.action, entry.detail["id"]) for entry in entries] == [
        ("bob", "token.delete", "t1"),
        ("ann", "token.create", "t1"),
        ("ann", "token.create", "t2"),
    ]


async def test_a_server_that_has_forgotten_its_scripts_is_told_again(catalog: Catalog, redis_url: str) -> None:
    await catalog.commit(put("acme"), 0)
    with redis.Redis.from_url(redis_url) as raw:
        raw.script_flush()
        assert raw.script_exists(script("commit").sha) == [False]
    await catalog.commit(put("acme"), 1)
    assert (await catalog.changes_since(0)).revision == 2


def test_replicas_cannot_be_asked_of_a_cluster() -> None:
    with pytest.raises(ValueError, match="cluster"):
        Catalog(connect("redis+cluster://127.0.0.1:1", "control"), min_replicas=1)
