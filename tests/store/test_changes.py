"""store/changes.py: the values, and their form in Redis; damaged replies included."""

from __future__ import annotations

import struct
import zlib

import msgpack  # type: ignore[import-untyped]
import pytest

from store.changes import (
    KEEP,
    Change,
    Item,
    commit_arguments,
    list_arguments,
    read_audit,
    read_changes,
    read_history_entry,
    read_page,
    read_stored,
    stored_value,
)
from store.codec import TenantRecord, pack_fields
from store.errors import RecordUnreadable
from store.secrets import ApiKeyRecord

META = pack_fields({"actor": "ann", "action": "put"})


@pytest.mark.parametrize(
    ("change", "mode", "hosts"),
    [
        (Change("acme", None), "drop", set()),
        (Change("acme", KEEP), "keep", set()),
        (Change("acme", TenantRecord({"domains": ["a.test"]})), "put", {"a.test"}),
        (Change("acme", TenantRecord({"domains": ["a.test"]}), claims=frozenset({"b.test"})), "put", {"b.test"}),
        (Change("acme", TenantRecord({"domains": ["a.test"]}), claims=frozenset()), "put", set()),
    ],
)
def test_a_change_says_what_happens_to_the_document_and_its_hosts(change: Change, mode: str, hosts: set[str]) -> None:
    assert change.mode == mode
    assert change.owned_hosts() == hosts


@pytest.mark.parametrize(("expected", "sent"), [(None, ""), (0, 0), (7, 7)])
def test_any_revision_is_not_the_same_as_none(expected: int | None, sent: str | int) -> None:
    assert commit_arguments(Change("acme", KEEP), expected, "e")[1] == sent


def test_lists_are_counted_and_in_a_fixed_order() -> None:
    change = Change(
        "acme",
        TenantRecord({"domains": ["b.test", "a.test"]}),
        put_keys=(ApiKeyRecord("k1", "", b"h", 1),),
        drop_keys=("k2", "k3"),
    )
    arguments = list_arguments(change)
    assert arguments[:3] == [2, "a.test", "b.test"]
    assert arguments[3:5] == [2, "k1"]
    assert arguments[6:] == [2, "k2", "k3"]


@pytest.mark.parametrize(
    ("value", "revision", "payload"),
    [
        (b"", 0, b"?"),
        (b"1234567", 0, b"?1234567"),
        (stored_value(7, b""), 7, b""),
        (stored_value(7, b"x"), 7, b"x"),
        (struct.pack(">QQ", 7, 7) + b"x", 7, b"?" + struct.pack(">QQ", 7, 7) + b"x"),
        (struct.pack(">Q", 7) + b"x", 7, b"?" + struct.pack(">Q", 7) + b"x"),
    ],
)
def test_a_stored_value_is_split_whatever_it_is(value: bytes, revision: int, payload: bytes) -> None:
    stored = read_stored("acme", value)
    assert (stored.revision, stored.payload) == (revision, payload)


def test_changes_and_tombstones_are_read() -> None:
    there = [b"acme", b"8", stored_value(8, b"x"), b"4", 0]
    changes = read_changes([b"e", b"9", 0, b"run", *there, b"gone", b"9", None, b"9", 0, b"lost", b"9", None, None, 1])
    assert (changes.epoch, changes.revision, changes.complete, changes.run) == ("e", 9, False, "run")
    assert changes.items == (
        Item("acme", 8, 8, b"x", 4),
        Item("gone", 9, 0, None, 9),
        Item("lost", 9, 0, None, 9, is_lost=True),
    )


@pytest.mark.parametrize(
    ("doc_revision", "noted", "callers"), [(8, None, 0), (8, b"8", 8), (3, b"8", 8), (3, None, 8), (3, b"2", 8)]
)
def test_what_moved_a_tenant_and_not_its_document_were_its_callers_whatever_is_noted(
    doc_revision: int, noted: bytes | None, callers: int
) -> None:
    (item,) = read_changes([b"e", b"9", 1, b"run", b"acme", b"8", stored_value(doc_revision, b"x"), noted, 0]).items
    assert (item.doc_revision, item.callers_revision) == (doc_revision, callers)


@pytest.mark.parametrize(
    ("reply", "tenants", "cursor"),
    [([1], [], None), ([1, b"a", b""], ["a"], None), ([0, b"a", b"", b"b", b""], ["a", "b"], "b")],
)
def test_a_page_has_a_cursor_only_when_there_is_more(
    reply: list[object], tenants: list[str], cursor: str | None
) -> None:
    page = read_page(reply)
    assert [stored.tenant for stored in page.items] == tenants
    assert page.cursor == cursor


@pytest.mark.parametrize("payload", [b"", b"damaged", b"P\x01\0\0\0\0damaged", b"P\xff" * 9])
def test_the_revision_in_front_of_bytes_that_are_no_record_is_not_told_of(payload: bytes) -> None:
    stored = read_stored("acme", stored_value(7, payload))
    assert stored.revision == 7  # what a commit over it is compared with
    for read in (stored.envelope, stored.record):
        with pytest.raises(RecordUnreadable) as unreadable:
            read()
        assert (unreadable.value.tenant, unreadable.value.revision) == ("acme", 0)


def test_the_revision_in_front_of_a_sound_envelope_is_told_of() -> None:
    body = msgpack.packb(["acme", [], b"\xc1"])
    payload = struct.pack(">cBI", b"P", 1, zlib.crc32(b"\x01" + body)) + body
    stored = read_stored("acme", stored_value(7, payload))
    assert stored.envelope().hosts == ()
    with pytest.raises(RecordUnreadable) as unreadable:
        stored.record()
    assert unreadable.value.revision == 7


def test_a_history_entry_is_read() -> None:
    info, stored = read_history_entry("acme", struct.pack(">QQI", 7, 5, len(META)) + META + b"payload")
    assert (info.revision, info.at_ms, info.actor, info.action) == (7, 5, "ann", "put")
    assert (stored.tenant, stored.revision, stored.payload) == ("acme", 7, b"payload")


@pytest.mark.parametrize(
    "entry", [b"", b"short", struct.pack(">QQI", 7, 5, 3), struct.pack(">QQI", 7, 5, 1) + pack_fields({})]
)
def test_a_damaged_history_entry_says_so(entry: bytes) -> None:
    with pytest.raises(RecordUnreadable, match="history is damaged"):
        read_history_entry("acme", entry)


def test_an_audit_entry_with_a_damaged_detail_is_still_shown() -> None:
    (entry,) = read_audit([[b"5-0", [b"revision", b"7", b"actor", b"\xff", b"detail", b"\xc1"]]])
    assert (entry.cursor, entry.revision, entry.at_ms, entry.actor, entry.detail) == ("5-0", 7, 0, "�", {})
