"""store/model/auth.py: who may call."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import ApiKeyAuth, parse_document
from tests.store.model.documents import document, faults_in

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
