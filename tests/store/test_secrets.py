"""store/secrets.py: keys and tokens, their checksum and what is kept of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.secrets import (
    ALPHABET,
    ApiKeyRecord,
    TokenRecord,
    hash_secret,
    is_expired,
    is_same_hash,
    new_api_key,
    new_token,
    parse_api_key,
    parse_token,
)


def test_a_new_key_is_recognised_by_its_text() -> None:
    key = new_api_key()
    parsed = parse_api_key(key.text)
    assert parsed is not None
    assert parsed.id == key.id
    assert is_same_hash(parsed.hash, key.hash)
    assert key.text.startswith(f"pk_{key.id}_")


def test_keys_and_tokens_are_not_taken_for_each_other() -> None:
    assert parse_token(new_api_key().text) is None
    assert parse_api_key(new_token().text) is None
    assert parse_token(new_token().text) is not None


def test_no_two_keys_are_alike() -> None:
    keys = [new_api_key() for _ in range(1000)]
    assert len({key.id for key in keys}) == 1000
    assert len({key.text for key in keys}) == 1000


@given(st.data())
def test_any_single_typo_is_refused_without_a_look_up(data: st.DataObject) -> None:
    text = new_api_key().text
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from([char for char in ALPHABET + "_- é" if char != text[at]]))
    assert parse_api_key(text[:at] + other + text[at + 1 :]) is None


@given(st.text())
def test_any_text_at_all_is_safe_to_parse(text: str) -> None:
    assert parse_api_key(text) is None


@pytest.mark.parametrize("text", ["", "pk__", "\udcff" * 44, "pk_" + "a" * 41, "pk_" + "a" * 12 + "_" + "a" * 29])
def test_what_has_not_the_form_of_a_key_is_refused(text: str) -> None:
    assert parse_api_key(text) is None


def test_nothing_that_is_kept_or_made_prints_its_secret() -> None:
    key = new_api_key()
    kept = ApiKeyRecord(key.id, "ci", key.hash, 0)
    token = TokenRecord(key.id, "ci", key.hash, "operator", None, 0)
    shown = f"{key!r} {parse_api_key(key.text)!r} {kept!r} {token!r} {kept} {token}"
    assert key.text not in shown
    assert key.text.split("_")[2] not in shown
    assert repr(key.hash) not in shown
    assert key.hash.hex() not in shown


def test_the_hash_is_of_the_whole_text() -> None:
    key = new_api_key()
    assert hash_secret(key.text) == key.hash
    assert hash_secret(key.text[:-1]) != key.hash


@pytest.mark.parametrize(
    ("expires_at_ms", "now_ms", "expected"), [(None, 10**15, False), (100, 99, False), (100, 100, True)]
)
def test_a_record_expires_at_its_millisecond(expires_at_ms: int | None, now_ms: int, expected: bool) -> None:
    assert is_expired(expires_at_ms, now_ms) is expected
