"""Which identity tokens fit a login; whether they are signed and in time is `tests/edge/client_edge/test_jwt.py`."""

from __future__ import annotations

from typing import Any

import pytest

from edge.client_edge.sessions.attempts import new_attempt
from edge.client_edge.sessions.identity_token import ALGORITHMS, fault_of_login, of_the_person

ATTEMPT = new_attempt("login", "/", 0)
GOOD: dict[str, Any] = {"iss": "i", "aud": "me", "iat": 1, "nonce": ATTEMPT.nonce, "sub": "ann"}


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, ""),
        ({"aud": ["me"]}, ""),
        ({"azp": "me"}, ""),
        ({"aud": ["me", "other"], "azp": "me"}, ""),
        ({"aud": ["me", "other"]}, "azp"),
        ({"aud": ["me", "other"], "azp": "other"}, "azp"),
        ({"azp": "other"}, "azp"),
        ({"azp": ["me"]}, "azp"),
        ({"nonce": "other"}, "nonce"),
        ({"nonce": ""}, "nonce"),
        ({"nonce": 5}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"iat": None}, "iat"),
    ],
)
def test_a_token_of_another_login_or_for_somebody_else_does_not_fit(changed: dict[str, Any], fault: str) -> None:
    claims = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    assert fault_of_login(claims, ATTEMPT, "me") == fault


def test_a_secret_that_many_share_signs_nothing() -> None:
    assert not [algorithm for algorithm in ALGORITHMS if algorithm.startswith("HS") or algorithm == "none"]


def test_what_is_kept_is_about_the_person() -> None:
    told = {**GOOD, "exp": 2, "at_hash": "x", "azp": "me", "email": "a@b", "groups": ["x"]}
    assert of_the_person(told) == {"sub": "ann", "email": "a@b", "groups": ["x"]}
