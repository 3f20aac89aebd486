"""Key sets as issuers send them: which keys are taken, and which never."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from edge.client_edge.jwks import MAX_KEYS, MAX_SET_BYTES, PublicKey, pick, read_key_set
from tests.fakes.issuers import SigningKey, rsa_key, signing_key

GOOD = signing_key("good")


def body(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def taken(*keys: Any) -> list[str | None]:
    """Name the keys that are taken of a set that has a good one too."""
    return [key.kid for key in read_key_set(body(GOOD.public_jwk(), *keys))][1:]


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (signing_key("a"), {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
        (signing_key("a", "ES256"), {"ES256"}),
        (signing_key("a", "ES384"), {"ES384"}),
        (signing_key("a", "ES512"), {"ES512"}),
        (signing_key("a", "EdDSA"), {"EdDSA"}),
    ],
    ids=lambda value: getattr(value, "algorithm", ""),
)
def test_a_key_is_for_the_algorithms_of_its_kind_or_the_one_that_it_names(
    key: SigningKey, algorithms: set[str]
) -> None:
    (plain,) = read_key_set(body(key.public_jwk()))
    assert (plain.kid, set(plain.algorithms)) == ("a", algorithms)
    (named,) = read_key_set(body(key.public_jwk(alg=key.algorithm, use="sig", key_ops=["verify"])))
    assert named.algorithms == {key.algorithm}


WEAK = SigningKey("weak", rsa_key("weak", 1024))


@pytest.mark.parametrize(
    "key",
    [
        WEAK.public_jwk(),
        signing_key("x").public_jwk(use="enc"),
        signing_key("x").public_jwk(key_ops=["encrypt"]),
        signing_key("x").public_jwk(key_ops="verify"),
        signing_key("x").public_jwk(alg="HS256"),
        signing_key("x").public_jwk(alg="RSA-OAEP"),
        signing_key("x").public_jwk(alg="none"),
        signing_key("x").public_jwk(alg=["RS256"]),
        signing_key("x").public_jwk(kid=5),
        signing_key("x").public_jwk(kid="x" * 257),
        signing_key("x").public_jwk(d="AQAB"),
        signing_key("x").public_jwk(e="AQAAAAAB"),
        signing_key("x").public_jwk(n="!"),
        signing_key("x").public_jwk(n=5),
        signing_key("x", "ES256").public_jwk(alg="ES384"),
        signing_key("x", "ES256").public_jwk(crv="P-384"),
        signing_key("x", "ES256").public_jwk(crv="secp256k1"),
        signing_key("x", "ES256").public_jwk(x="AAAA"),
        signing_key("x", "EdDSA").public_jwk(crv="X25519"),
        {"kty": "oct", "kid": "x", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256"},
        {"kty": "oct", "kid": "x", "alg": "RS256"},
        {"kty": ["RSA"]},
        {},
        None,
        "key",
    ],
)
def test_a_key_that_is_weak_private_symmetric_or_for_something_else_is_left_out(key: Any) -> None:
    assert taken(key) == []


def test_a_private_key_in_a_set_is_left_out() -> None:
    private = {**signing_key("x").public_jwk(), "d": "AQAB", "p": "AQAB", "q": "AQAB"}
    assert taken(private) == []


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"<html>",
        b"[]",
        b"5",
        b"null",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": null}',
        b'{"keys": []}',
        b'{"keys": [5]}',
        b"\xff\xfe",
        b"[" * 60_000,
        b'{"keys": ' + b"[" * 50_000,
        body(WEAK.public_jwk()),
        body(GOOD.public_jwk()) + b" " * MAX_SET_BYTES,
    ],
)
def test_what_holds_no_usable_key_is_no_set(sent: bytes) -> None:
    with pytest.raises(ValueError, match="key set"):
        read_key_set(sent)


def test_no_more_keys_are_taken_than_anybody_needs() -> None:
    many = [GOOD.public_jwk(kid=str(at)) for at in range(100)]
    assert [key.kid for key in read_key_set(body(*many))] == [str(at) for at in range(MAX_KEYS)]
    with pytest.raises(ValueError, match="without a key"):
        read_key_set(body(*[{}] * 64, GOOD.public_jwk()))


def test_the_largest_set_is_read_in_a_moment() -> None:
    key = signing_key("x", "ES512")
    sent = json.dumps({"keys": [key.public_jwk(kid=str(at)) for at in range(300)]}).encode()[: MAX_SET_BYTES - 2]
    sent = sent[: sent.rindex(b"}") + 1] + b"]}"
    begun = time.process_time()
    read_key_set(sent)
    assert time.process_time() - begun < 0.2


def test_a_fingerprint_is_the_keys_own_and_changes_with_all_that_says_what_it_is_for() -> None:
    raw = GOOD.public_jwk()
    same = [raw, {**raw, "x5t": "abc", "use": "sig"}]
    other = [{**raw, "kid": "b"}, {**raw, "alg": "RS256"}, signing_key("other").public_jwk(kid="good")]
    prints = [read_key_set(body(each))[0].fingerprint for each in (*same, *other)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


def key(kid: str | None, *algorithms: str) -> PublicKey:
    return PublicKey(kid, frozenset(algorithms), b"", None)


A, B, NAMELESS = key("a", "RS256", "PS256"), key("b", "ES256"), key(None, "RS256")


@pytest.mark.parametrize(
    ("keys", "kid", "algorithm", "picked"),
    [
        ([A, B], "a", "RS256", A),
        ([A, B], "a", "PS256", A),
        ([A, B], "b", "ES256", B),
        ([A, B], "b", "RS256", None),
        ([A, B], "c", "RS256", None),
        ([A, B], "", "RS256", None),
        ([A, B], None, "RS256", A),
        ([A, NAMELESS], None, "RS256", None),  # which of the two is meant nobody says
        ([NAMELESS], None, "RS256", NAMELESS),
        ([NAMELESS], "a", "RS256", None),
        ([A, key("a", "RS256")], "a", "RS256", None),  # one name for two
        ([A, key("a", "ES256")], "a", "RS256", A),
        ([], None, "RS256", None),
    ],
)
def test_a_token_has_exactly_one_key_or_none(
    keys: list[PublicKey], kid: str | None, algorithm: str, picked: PublicKey | None
) -> None:
    assert pick(keys, kid, algorithm) is picked
