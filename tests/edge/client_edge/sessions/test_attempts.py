"""A login under way: sealed in the browser, bound to it, good once and for ten minutes."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from edge.client_edge.sessions.attempts import (
    ATTEMPT_KEPT_S,
    COOKIE_PREFIX,
    MAX_ATTEMPTS_KEPT,
    Attempt,
    authorization_url,
    code_in,
    find,
    new_attempt,
    read_query,
    seal,
    superfluous,
    with_query,
)
from edge.errors import EdgeError
from store.sealing import Sealer

SEALER = Sealer([b"k" * 32])
NOW_S = 1_800_000_000.0
ISSUER = "https://id.test/"
ATTEMPT = Attempt("login", "/a?b=c", NOW_S, state="s" * 43, nonce="n" * 43, verifier="v" * 43)
OTHER = replace(ATTEMPT, state="s" * 16 + "t" * 27)


def cookies(**changed: str) -> dict[str, str]:
    return {ATTEMPT.cookie: seal(ATTEMPT, SEALER, "acme"), **changed}


def test_every_secret_of_an_attempt_is_its_own() -> None:
    attempts = [new_attempt("login", "/", NOW_S) for _ in range(20)]
    made = [secret for each in attempts for secret in (each.state, each.nonce, each.verifier)]
    assert len(set(made)) == len(made)
    assert all(len(secret) >= 43 for secret in made)


def test_the_browser_that_began_it_brings_it_back() -> None:
    assert find(cookies(), ATTEMPT.state, SEALER, "acme") == ATTEMPT


def test_its_cookie_tells_nothing_and_fits_into_one() -> None:
    content = seal(new_attempt("l" * 63, "/" + "p" * 2047, NOW_S), SEALER, "acme")
    assert len(content) < 4000
    for secret in (ATTEMPT.nonce, ATTEMPT.verifier):
        assert secret not in seal(ATTEMPT, SEALER, "acme")


@pytest.mark.parametrize(
    ("held", "state", "tenant"),
    [
        ({}, ATTEMPT.state, "acme"),
        (cookies(), "", "acme"),
        (cookies(), "t" * 43, "acme"),
        (cookies(), OTHER.state, "acme"),
        (cookies(), ATTEMPT.state + "\udcff", "acme"),
        (cookies(), ATTEMPT.state, "other"),
        ({ATTEMPT.cookie: ""}, ATTEMPT.state, "acme"),
        ({ATTEMPT.cookie: "%%%"}, ATTEMPT.state, "acme"),
        ({ATTEMPT.cookie: seal(ATTEMPT, Sealer([b"x" * 32]), "acme")}, ATTEMPT.state, "acme"),
        ({ATTEMPT.cookie: seal(OTHER, SEALER, "acme")}, ATTEMPT.state, "acme"),
    ],
)
def test_an_answer_to_another_browsers_attempt_is_refused(held: dict[str, str], state: str, tenant: str) -> None:
    with pytest.raises(EdgeError) as caught:
        find(held, state, SEALER, tenant)
    assert (caught.value.code, caught.value.status) == ("login_failed", 403)


def test_the_provider_is_asked_for_a_code_with_everything_that_binds_it() -> None:
    url = authorization_url("https://id.test/auth?tenant=1", ATTEMPT, "me", "https://shop.test/x", ["openid", "email"])
    assert urlsplit(url)._replace(query="").geturl() == "https://id.test/auth"
    asked = dict(parse_qsl(urlsplit(url).query))
    digest = hashlib.sha256(ATTEMPT.verifier.encode()).digest()
    assert asked == {
        "tenant": "1",
        "response_type": "code",
        "client_id": "me",
        "redirect_uri": "https://shop.test/x",
        "scope": "openid email",
        "state": ATTEMPT.state,
        "nonce": ATTEMPT.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    assert ATTEMPT.verifier not in url


GOOD = {"code": "c", "state": ATTEMPT.state}


@pytest.mark.parametrize(
    ("answer", "names_issuer"), [(GOOD, False), ({**GOOD, "iss": ISSUER}, False), ({**GOOD, "iss": ISSUER}, True)]
)
def test_a_whole_answer_has_a_code(answer: dict[str, str], names_issuer: bool) -> None:
    assert code_in(answer, ATTEMPT, ISSUER, NOW_S + 1, must_name_issuer=names_issuer) == "c"


@pytest.mark.parametrize(
    ("answer", "after_s", "names_issuer"),
    [
        ({**GOOD, "code": ""}, 1, False),
        ({"state": ATTEMPT.state}, 1, False),
        ({**GOOD, "error": "access_denied"}, 1, False),
        ({**GOOD, "iss": "https://evil.test/"}, 1, False),
        (GOOD, 1, True),
        (GOOD, ATTEMPT_KEPT_S, False),
        (GOOD, -1, False),
    ],
)
def test_any_other_answer_is_refused(answer: dict[str, str], after_s: float, names_issuer: bool) -> None:
    with pytest.raises(EdgeError) as caught:
        code_in(answer, ATTEMPT, ISSUER, NOW_S + after_s, must_name_issuer=names_issuer)
    assert caught.value.code == "login_failed"


@pytest.mark.parametrize("query", ["a=1&a=2", "a&a", "&".join(f"f{number}=1" for number in range(30))])
def test_a_query_that_could_be_read_in_two_ways_is_refused(query: str) -> None:
    with pytest.raises(EdgeError):
        read_query(query)


def test_a_query_is_read() -> None:
    assert read_query("") == {}
    assert read_query("a=1&b=%2F&c=") == {"a": "1", "b": "/", "c": ""}


def test_attempts_left_behind_are_cleared_away_once_there_are_some() -> None:
    others = {f"{COOKIE_PREFIX}{number}": "x" for number in range(MAX_ATTEMPTS_KEPT)}
    assert superfluous({**others, "__Host-portico.login": "x"}) == list(others)
    assert superfluous(dict(list(others.items())[1:])) == []


def test_two_logins_at_once_do_not_take_each_others_cookie() -> None:
    other = new_attempt("login", "/", NOW_S)
    held = cookies(**{other.cookie: seal(other, SEALER, "acme")})
    assert find(held, other.state, SEALER, "acme") == other
    assert find(held, ATTEMPT.state, SEALER, "acme") == ATTEMPT


@pytest.mark.parametrize(("url", "whole"), [("https://a/b", "https://a/b?x=1"), ("https://a/b?c", "https://a/b?c&x=1")])
def test_fields_are_added_to_a_url(url: str, whole: str) -> None:
    assert with_query(url, {"x": "1"}) == whole
