"""store/codec.py: records as bytes, read strictly and without harm."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.codec import (
    HEAD,
    MAX_RECORD_BYTES,
    SCHEMA,
    CodecError,
    DomainState,
    TenantRecord,
    decode_api_key,
    decode_token,
    encode,
    encode_api_key,
    encode_token,
    open_envelope,
    pack_fields,
    unpack_fields,
)
from store.secrets import ApiKeyRecord, TokenRecord

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
states = st.builds(
    DomainState,
    host=st.text(min_size=1),
    state=st.sampled_from(["pending", "verified", "active", "held"]),
    verified_by=st.none() | st.just("operator"),
    at_ms=st.integers(0, 2**60),
)


def sealed(body: bytes, schema: int = SCHEMA) -> bytes:
    return HEAD.pack(b"P", schema, zlib.crc32(bytes([schema]) + body)) + body


def a_record(**document: Any) -> TenantRecord:
    return TenantRecord({"tenant": "acme", **document})


@given(st.dictionaries(st.text(), values, max_size=4), st.lists(states, max_size=4))
def test_a_record_survives_its_bytes(document: dict[str, Any], domains: list[DomainState]) -> None:
    document.pop("domains", None)
    record = TenantRecord(document, {domain.host: domain for domain in domains})
    assert open_envelope(encode(record, "acme"), "acme").record() == record


@given(st.data())
def test_one_flipped_bit_is_noticed(data: st.DataObject) -> None:
    payload = bytearray(encode(a_record(domains=["a.test"]), "acme"))
    bit = data.draw(st.integers(0, len(payload) * 8 - 1))
    payload[bit // 8] ^= 1 << (bit % 8)
    with pytest.raises(CodecError):
        open_envelope(bytes(payload), "acme")


@given(st.binary(max_size=200))
def test_any_bytes_at_all_are_refused_and_never_crash(payload: bytes) -> None:
    with pytest.raises(CodecError):
        open_envelope(payload, "acme")


@given(st.binary(max_size=200))
def test_any_bytes_under_a_right_checksum_never_crash(body: bytes) -> None:
    with suppress(CodecError):
        open_envelope(sealed(body), "acme").record()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "cut short"),
        (encode(a_record(), "acme")[:-1], "checksum"),
        (encode(a_record(), "acme")[:3], "cut short"),
        (b"Q" + encode(a_record(), "acme")[1:], "not a record"),
        (sealed(msgpack.packb(["acme", [], b""]), schema=9), "schema 9"),
        (b"P" * (MAX_RECORD_BYTES + 100), "at most"),
        (sealed(msgpack.packb({"a": 1})), "form of this version"),
        (encode(TenantRecord({"tenant": "beta"}), "beta"), "record of tenant 'beta'"),
        (sealed(msgpack.packb([["acme"], [], b""])), "record of tenant"),
        (sealed(msgpack.packb(["acme", ["a", 1], b""])), "not names"),
        (sealed(msgpack.packb(["acme", [], msgpack.packb(None)])), "fields of this version"),
        (sealed(msgpack.packb(["acme", [], msgpack.packb({})])), "fields of this version"),
        (sealed(msgpack.packb(["acme", [], msgpack.packb({"document": None, "domains": {}})])), "not a mapping"),
        (sealed(msgpack.packb(["acme", [], msgpack.packb({"document": {}, "domains": {"a": 1}})])), "fields of this"),
        (sealed(msgpack.packb(["acme", [], b"\x91" * 900 + b"\xc0"])), "nested deeper"),
        (sealed(msgpack.packb(["acme", [], b"\x91" * 10_000 + b"\xc0"])), "not msgpack"),
        (sealed(msgpack.packb(["acme", [], b"\xdd\xff\xff\xff\xff"])), "not msgpack"),
        (sealed(msgpack.packb(["acme", [], msgpack.packb({1: 2})])), "not msgpack"),
        (sealed(msgpack.packb(["acme", [], msgpack.packb(msgpack.ExtType(1, b"x"))])), "not msgpack"),
    ],
)
def test_unreadable_bytes_say_why(payload: bytes, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        open_envelope(payload, "acme").record()


def test_a_record_too_large_to_keep_is_refused_before_it_is_written() -> None:
    with pytest.raises(CodecError, match="at most 1048576"):
        encode(a_record(name="x" * MAX_RECORD_BYTES), "acme")


def test_what_msgpack_cannot_hold_is_refused() -> None:
    with pytest.raises(CodecError, match="cannot be encoded"):
        encode(a_record(name=object()), "acme")


@pytest.mark.parametrize(
    ("document", "states", "served", "claimed"),
    [
        ({"domains": ["a.test"]}, {}, (), {"a.test"}),
        ({"domains": ["a.test"]}, {"a.test": "pending"}, (), {"a.test"}),
        ({"domains": ["a.test", "b.test"]}, {"b.test": "verified"}, ("b.test",), {"a.test", "b.test"}),
        ({"domains": ["a.test"]}, {"a.test": "active"}, ("a.test",), {"a.test"}),
        ({"domains": ["a.test"]}, {"a.test": "suspended"}, (), {"a.test"}),
        ({"domains": [{"host": "a.test", "verified_by": "operator"}]}, {}, ("a.test",), {"a.test"}),
        ({"domains": [{"host": "a.test"}]}, {}, (), {"a.test"}),
        ({"domains": ["a.test"], "enabled": False}, {"a.test": "active"}, (), {"a.test"}),
        ({}, {"gone.test": "held", "free.test": "released"}, (), {"gone.test"}),
    ],
)
def test_only_proven_hosts_are_served_and_all_named_ones_are_claimed(
    document: dict[str, Any], states: dict[str, str], served: tuple[str, ...], claimed: set[str]
) -> None:
    record = TenantRecord(document, {host: DomainState(host, state) for host, state in states.items()})
    assert record.served_hosts() == served
    assert record.claimed_hosts() == claimed
    assert open_envelope(encode(record, "acme"), "acme").hosts == served


def test_keys_and_tokens_survive_their_bytes() -> None:
    key = ApiKeyRecord("id", "ci", b"\x00" * 32, 5, None, ("read", "write"))
    token = TokenRecord("id", "ci", b"\x00" * 32, "tenant", "acme", 5, 6)
    assert decode_api_key(encode_api_key(key)) == key
    assert decode_token(encode_token(token)) == token


@pytest.mark.parametrize("data", [b"", b"\xc1", pack_fields({}), pack_fields({"scopes": 3}), b"\x93\x01\x02\x03"])
def test_bytes_that_are_no_key_and_no_token_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_api_key(data)
    with pytest.raises(CodecError):
        decode_token(data)


def test_small_mappings_are_read_back() -> None:
    assert unpack_fields(pack_fields({"a": [1, "x"]})) == {"a": [1, "x"]}
    with pytest.raises(CodecError):
        unpack_fields(struct.pack(">I", 7))
