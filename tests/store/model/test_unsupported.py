"""store/model/unsupported.py: what a later version does is refused by its place, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest

from store.model.unsupported import unsupported
from tests.store.model.documents import document, faults_in


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        ({"auth": {"login": {"type": "session", "issuer": 5, "scopes": 5}}},
         ["auth.login.type: session is not supported yet"]),
    ],
)  # fmt: skip
def test_what_comes_later_is_refused_by_its_place(raw: dict[str, Any], lines: list[str]) -> None:
    assert faults_in({"tenant": "acme", **raw}) == lines


def test_a_type_that_no_version_has_is_a_wrong_value() -> None:
    assert faults_in({"tenant": "acme", "auth": {"a": {"type": "kerberos"}}}) == [
        "auth.a.type: expected 'api_key', 'jwt', 'session', 'forward', 'basic'"
    ]


@pytest.mark.parametrize("section", [None, 5, [], {}, {"a": None}, {"a": 5}, {5: {"type": "jwt"}}, {"a": {"type": []}}])
def test_what_cannot_be_read_asks_for_nothing(section: object) -> None:
    assert list(unsupported({"auth": section, "limits": section})) == []
    assert list(unsupported(document())) == []
