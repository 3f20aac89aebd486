"""Small documents to break: a good one, and what is said of a bad one."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import DocumentError, parse_document


def document(**fields: Any) -> dict[str, Any]:
    """Give a good document with some of its fields replaced or added."""
    return {
        "tenant": "acme",
        "domains": ["shop.acme.com", "*.acme.app"],
        "upstreams": {"shop": upstream()},
        "auth": {"keys": {"type": "api_key"}},
        "limits": {"per-ip": {"rate": "600/m", "by": "ip"}, "per-key": {"rate": "100/s", "by": "key"}},
        "routes": [route()],
        **fields,
    }


def upstream(**fields: Any) -> dict[str, Any]:
    """Give a good upstream with some of its fields replaced or added."""
    return {"targets": ["http://10.0.0.5:9000"], **fields}


def route(**fields: Any) -> dict[str, Any]:
    """Give a good route with some of its fields replaced or added."""
    return {"name": "api", "path": "/v1/*", "upstream": "shop", **fields}


def with_route(**fields: Any) -> dict[str, Any]:
    """Give a good document with one route that has these fields."""
    return document(routes=[route(**fields)])


def with_upstream(**fields: Any) -> dict[str, Any]:
    """Give a good document with one upstream that has these fields."""
    return document(upstreams={"shop": upstream(**fields)})


def faults_in(raw: object) -> list[str]:
    """Give the lines that a document is refused with."""
    with pytest.raises(DocumentError) as refusal:
        parse_document(raw)
    lines = [str(fault) for fault in refusal.value.faults]
    assert str(refusal.value) == "\n".join(lines)
    return lines
