"""Tokens before anybody is asked: what is read of them, and what is refused whatever has signed them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.client_edge.jwt import (
    MAX_TOKEN_CHARS,
    Demands,
    Token,
    fault_in_claims,
    fault_in_header,
    read_token,
    scopes_of,
    subject_of,
    weight_of,
)
from edge.context import Identity
from edge.headers import field_value

NOW_S = 1_700_000_000
DEMANDS = Demands("https://id.test/", "shop", frozenset({"RS256", "ES256"}), "sub")
GOOD = {"iss": "https://id.test/", "aud": "shop", "sub": "u1", "exp": NOW_S + 10}


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def written(header: Any = None, claims: Any = None, signature: str = "c2ln") -> str:
    parts = {"alg": "RS256"} if header is None else header, GOOD if claims is None else claims
    return ".".join([*map(encoded, parts), signature])


def nested(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def test_a_token_is_its_header_and_its_claims() -> None:
    assert read_token(written()) == Token({"alg": "RS256"}, GOOD)
    assert read_token(written(claims={**GOOD, "é": nested(14), "n": None})) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "not a token",
        written(signature=""),
        written() + ".",
        written() + ".a",
        written() + "=",
        written() + " ",
        written() + "\n",
        written().replace(".", "+.", 1),
        written(header=[]),
        written(header="text"),
        written(claims=[]),
        written(claims=5),
        written(claims=b"{"),
        written(claims=b""),
        written(claims=b"\xff\xfe{\x00}\x00"),
        written(claims=b'{"exp": NaN}'),
        written(claims=b'{"exp": Infinity}'),
        written(claims=b'{"sub": "\\ud800"}'),
        written(claims=b'{"\\udfff": 1}'),
        written(claims=b'{"exp": ' + b"9" * 5000 + b"}"),
        written(claims={"a": nested(16)}),
        written(claims=b'{"a":' + b"[" * 5000),
        written(claims=b'{"a":' + b'{"a":' * 1000),
        written(header=b'{"a":' + b"[" * 5000),
        written(claims={"a": "x" * MAX_TOKEN_CHARS}),
        "\udcff.a.b",
        "é.é.é",
    ],
)
def test_what_is_no_token_is_read_as_none(text: str) -> None:
    assert read_token(text) is None


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ({"alg": "RS256"}, ""),
        ({"alg": "ES256", "kid": "k1", "typ": "JWT", "x5t": "abc"}, ""),
        ({"alg": "RS256", "kid": "../../etc/passwd"}, ""),  # a key's name, which no issuer has: see below
        ({"alg": "RS256", "kid": "' OR 1=1 --"}, ""),
        ({}, "alg"),
        ({"alg": None}, "alg"),
        ({"alg": ""}, "alg"),
        ({"alg": "none"}, "alg"),
        ({"alg": "None"}, "alg"),
        ({"alg": "NONE"}, "alg"),
        ({"alg": "HS256"}, "alg"),
        ({"alg": "rs256"}, "alg"),
        ({"alg": "RS384"}, "alg"),
        ({"alg": "PS256"}, "alg"),
        ({"alg": ["RS256"]}, "alg"),
        ({"alg": {"RS256": 1}}, "alg"),
        ({"alg": "RS256", "crit": ["exp"], "exp": 1}, "crit"),
        ({"alg": "RS256", "crit": []}, "crit"),
        ({"alg": "RS256", "crit": None}, "crit"),
        ({"alg": "RS256", "b64": True}, "b64"),
        ({"alg": "RS256", "jku": "https://evil.test/jwks"}, "jku"),
        ({"alg": "RS256", "jwk": {"kty": "RSA"}}, "jwk"),
        ({"alg": "RS256", "x5u": "https://evil.test/cert"}, "x5u"),
        ({"alg": "RS256", "x5c": ["MIIB"]}, "x5c"),
        ({"alg": "RS256", "kid": 5}, "kid"),
        ({"alg": "RS256", "kid": ["k1"]}, "kid"),
        ({"alg": "RS256", "kid": "x" * 257}, "kid"),
    ],
)
def test_a_header_may_name_a_declared_algorithm_and_a_key_and_nothing_that_brings_one(
    header: dict[str, Any], fault: str
) -> None:
    assert fault_in_header(header, DEMANDS) == fault


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, ""),
        # who has issued it
        ({"iss": "https://other.test/"}, "iss"),
        ({"iss": "https://id.test"}, "iss"),
        ({"iss": ["https://id.test/"]}, "iss"),
        ({"iss": None}, "iss"),
        # for whom
        ({"aud": ["other", "shop"]}, ""),
        ({"aud": "other"}, "aud"),
        ({"aud": "shop "}, "aud"),
        ({"aud": ["shops"]}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": {"shop": 1}}, "aud"),
        ({"aud": None}, "aud"),
        # until when, with a minute's leeway
        ({"exp": NOW_S - 59}, ""),
        ({"exp": NOW_S - 59.5}, ""),
        ({"exp": NOW_S - 60}, "exp"),
        ({"exp": NOW_S - 3600}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": str(NOW_S + 10)}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": 10**400}, "exp"),
        # from when, with a minute's leeway
        ({"nbf": NOW_S}, ""),
        ({"nbf": NOW_S + 60}, ""),
        ({"nbf": NOW_S + 61}, "nbf"),
        ({"nbf": "soon"}, "nbf"),
        ({"nbf": False}, "nbf"),
        ({"nbf": -(10**400)}, "nbf"),
        # about whom
        ({"sub": 42}, ""),
        ({"sub": ""}, "sub"),
        ({"sub": None}, "sub"),
        ({"sub": True}, "sub"),
        ({"sub": ["u1"]}, "sub"),
        ({"sub": "x" * 1025}, "sub"),
    ],
)
def test_claims_are_as_the_document_demands(changed: dict[str, Any], fault: str) -> None:
    claims = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    assert fault_in_claims(claims, DEMANDS, NOW_S) == fault


def test_a_claim_that_is_null_is_not_a_good_one() -> None:
    for name in ("iss", "aud", "exp", "nbf", "sub"):
        assert fault_in_claims({**GOOD, name: None}, DEMANDS, NOW_S) == name


def test_the_subject_is_the_claim_that_the_document_names() -> None:
    own = DEMANDS._replace(subject_claim="uid")
    assert subject_of({"sub": "u1", "uid": 7}, own) == "7"
    assert fault_in_claims(GOOD, own, NOW_S) == "uid"


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, ()),
        ({"scope": "read write"}, ("read", "write")),
        ({"scope": ""}, ()),
        ({"scp": ["read", "write"]}, ("read", "write")),
        ({"scp": "read write"}, ("read", "write")),
        ({"scope": ["read", 5]}, ("read",)),
        ({"scope": "read", "scp": ["write"]}, ("read",)),
        ({"scope": 5}, ()),
    ],
)
def test_scopes_are_words_or_a_list(claims: dict[str, Any], scopes: tuple[str, ...]) -> None:
    assert scopes_of(claims) == scopes


def test_many_small_claims_weigh_more_than_one_long_one() -> None:
    assert weight_of({"a": [[]] * 1000}) > 100_000
    assert weight_of({"a": "x" * 3000}) < 10_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)
HEADERS = st.dictionaries(st.sampled_from(["alg", "kid", "crit", "jku", "typ"]), JSON | st.just("RS256"))
CLAIMS = st.dictionaries(st.sampled_from([*GOOD, "nbf", "scope", "scp"]), JSON | st.just("shop"))


@given(HEADERS | JSON, CLAIMS | JSON)
def test_whatever_a_stranger_writes_is_judged(header: Any, claims: Any) -> None:
    token = read_token(written(header, claims))
    if token is not None:
        assert isinstance(fault_in_header(token.header, DEMANDS), str)
        assert isinstance(fault_in_claims(token.claims, DEMANDS, NOW_S), str)
        assert scopes_of(token.claims) is not None
        identity = Identity("u1", claims=token.claims)
        for name in token.claims:
            field_value(identity.claim(name) or "").encode("ascii")


@given(st.text(st.characters(codec=None)) | st.text("aA0.=_-"))
def test_whatever_else_a_stranger_writes_is_no_token(text: str) -> None:
    assert read_token(text) is None
