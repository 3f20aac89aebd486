"""store/model/auth.py: who may call."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import ApiKeyAuth, JwtAuth, SessionAuth, dump_document, parse_document
from tests.store.model.documents import document, faults_in, jwt

TYPES = "auth.keys.type: expected 'api_key', 'jwt', 'session', 'forward', 'basic'"


def auth(**fields: Any) -> dict[str, Any]:
    return document(auth={"keys": {"type": "api_key", **fields}})


@pytest.mark.parametrize(
    ("fields", "header", "query"),
    [({}, "X-API-Key", None), ({"header": "X-Key"}, "X-Key", None), ({"query": "key"}, None, "key")],
)
def test_a_key_comes_in_one_place(fields: dict[str, Any], header: str | None, query: str | None) -> None:
    method = parse_document(auth(**fields)).auth["keys"]
    assert isinstance(method, ApiKeyAuth)
    assert (method.header, method.query) == (header, query)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (auth(header="X Key"), "auth.keys.header: not a header field's name: 'X Key'"),
        (auth(query="a&b"), "auth.keys.query: not a query parameter's name: 'a&b'"),
        (auth(query=None), "auth.keys.query: is empty: give it a value, or leave it out"),
        (document(auth={"keys": {"header": "X-Key"}}), "auth.keys.type: is required"),
        (document(auth={"keys": "api_key"}), "auth.keys: expected a mapping"),
        (document(auth={"keys": {"type": "api-key"}}), f"{TYPES}; did you mean 'api_key'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_auth_method_is_said(raw: dict[str, Any], line: str) -> None:
    assert faults_in(raw) == [line]


def users(**fields: Any) -> dict[str, Any]:
    return document(auth={"users": jwt(**fields)})


def test_tokens_are_bearer_tokens_signed_with_rs256_unless_the_document_says_otherwise() -> None:
    plain = parse_document(users()).auth["users"]
    assert isinstance(plain, JwtAuth)
    assert (plain.algorithms, plain.header, plain.subject_claim) == (("RS256",), None, "sub")
    own = parse_document(users(algorithms=["ES256", "EdDSA"], header="X-Token", subject_claim="uid")).auth["users"]
    assert isinstance(own, JwtAuth)
    assert (own.algorithms, own.header, own.subject_claim) == (("ES256", "EdDSA"), "X-Token", "uid")


@pytest.mark.parametrize(
    "fields", [{}, {"algorithms": ["PS256", "RS256"], "header": "X-Token", "subject_claim": "uid"}]
)
def test_a_dumped_token_method_is_the_same(fields: dict[str, Any]) -> None:
    parsed = parse_document(users(**fields))
    assert dump_document(parsed)["auth"]["users"] == jwt(**fields)
    assert parse_document(dump_document(parsed)) == parsed


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS384", "HS512", "ES256K", "rs256"])
def test_no_algorithm_without_a_key_pair_can_be_declared(algorithm: str) -> None:
    (line,) = faults_in(users(algorithms=[algorithm]))
    assert line.startswith("auth.users.algorithms[0]: expected 'RS256', ")


SAFE = "expected https: who can change the answer on its way can let anybody in"


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (users(algorithms=[]), "auth.users.algorithms: expected at least one"),
        (users(issuer=""), "auth.users.issuer: is empty"),
        (users(audience="a\nb"), "auth.users.audience: has a line break or another control character"),
        (users(jwks_url="http://id.acme.com/jwks.json"), f"auth.users.jwks_url: {SAFE}"),
        (users(jwks_url="https://id.acme.com/jwks.json#a"), "auth.users.jwks_url: a service's URL has no fragment"),
        (users(jwks_url="file:///etc/passwd"),
         "auth.users.jwks_url: expected a URL that begins with http:// or https://"),
        (users(header="X Token"), "auth.users.header: not a header field's name: 'X Token'"),
        (users(header="X-Portico-Token"),
         "auth.users.header: X-Portico-Token has a meaning of its own: no credential can come in it"),
        (users(subject_claim=""), "auth.users.subject_claim: a claim's name is 1 to 128 characters long"),
        (users(secret="s"), "auth.users.secret: unknown field"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_token_method_is_said(raw: dict[str, Any], line: str) -> None:
    assert faults_in(raw) == [line]


OWN = {"issuer": "https://id.acme.com/", "client_id": "shop"}


def login(**fields: Any) -> dict[str, Any]:
    return document(auth={"login": {"type": "session", **fields}})


def test_browsers_log_in_at_the_operators_provider_for_half_an_hour_of_silence_and_half_a_day_in_all() -> None:
    plain = parse_document(login()).auth["login"]
    assert isinstance(plain, SessionAuth)
    assert (plain.issuer, plain.client_id, plain.client_secret) == (None, None, None)
    assert (plain.idle_timeout_s, plain.lifetime_s, plain.subject_claim) == (1800, 43_200, "sub")
    assert plain.scopes == ("openid", "profile", "email")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        OWN,
        {**OWN, "client_secret": "s3cret"},
        {**OWN, "client_secret": "sealed:v1:abc", "scopes": ["openid"], "idle_timeout": "5m", "lifetime": "1h"},
        {"subject_claim": "email", "idle_timeout": "1s", "lifetime": "1s"},
    ],
)
def test_a_dumped_login_is_the_same(fields: dict[str, Any]) -> None:
    parsed = parse_document(login(**fields))
    assert dump_document(parsed)["auth"]["login"] == {"type": "session", **fields}
    assert parse_document(dump_document(parsed)) == parsed
    assert "s3cret" not in repr(parsed)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (login(issuer="https://id.acme.com/"),
         "auth.login.client_id: is required: a provider of one's own has both, the operator's has neither"),
        (login(client_id="shop"),
         "auth.login.issuer: is required: a provider of one's own has both, the operator's has neither"),
        (login(client_secret="s3cret"),
         "auth.login.client_secret: belongs to a provider of one's own: name its issuer"),
        (login(**OWN, client_secret=""), "auth.login.client_secret: is empty"),
        (login(**OWN, client_secret="a\nb"),
         "auth.login.client_secret: has a line break or another control character"),
        (login(**OWN, client_secret="x" * 1025), "auth.login.client_secret: is longer than 1024 characters"),
        (login(**OWN, client_secret=5), "auth.login.client_secret: expected text: put it in quotes"),
        (login(client_id="shop", issuer="http://id.acme.com/"), f"auth.login.issuer: {SAFE}"),
        (login(client_id="shop", issuer="https://id.acme.com/?a=b"), "auth.login.issuer: an issuer has no query"),
        (login(scopes=["profile"]),
         "auth.login.scopes: has no 'openid', without which nobody says who has logged in"),
        (login(idle_timeout="500ms"), "auth.login.idle_timeout: is shorter than 1s"),
        (login(idle_timeout="2h", lifetime="1h"), "auth.login.idle_timeout: is longer than lifetime"),
        (login(lifetime="2d"), "auth.login.lifetime: a duration is at most 1d here"),
        (login(cookie="mine"), "auth.login.cookie: unknown field"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_login_is_said_and_never_the_secret(raw: dict[str, Any], line: str) -> None:
    assert faults_in(raw) == [line]
    assert "s3cret" not in line


@pytest.mark.parametrize("scope", ["open id", "", "a\nb", 'a"b', "a\\b", "é"])
def test_a_scope_is_one_word(scope: str) -> None:
    (line,) = faults_in(login(scopes=["openid", scope]))
    assert line.startswith("auth.login.scopes[1]: ")


@pytest.mark.parametrize("path", ["/.portico/login", "/.portico/*", "/.portico/{page}"])
def test_what_the_edge_serves_itself_no_route_may_ask_for(path: str) -> None:
    raw = document(routes=[{"name": "mine", "path": path, "upstream": "shop"}])
    assert faults_in(raw) == ["routes[0].path: what is under /.portico/ the edge serves itself"]
