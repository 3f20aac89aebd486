"""Small documents to break: a good one, and what is said of a bad one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
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


def jwt(**fields: Any) -> dict[str, Any]:
    """Give a good method for JSON Web Tokens with some of its fields replaced or added."""
    return {
        "type": "jwt",
        "issuer": "https://id.acme.com/",
        "audience": "shop",
        "jwks_url": "https://id.acme.com/jwks.json",
        **fields,
    }


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


def holes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the place of everything inside a raw document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in entries:
        yield (*path, step)
        yield from holes(child, (*path, step))


# Every field of every part.
FULL = document(
    name="Acme",
    enabled=True,
    domains=[{"host": "shop.acme.com", "verified_by": "operator"}],
    upstreams={
        "shop": upstream(
            targets=[{"url": "http://10.0.0.1", "weight": 1}],
            balance={"hash": {"header": "X-User"}},
            connect_timeout="2s",
            max_connections=1,
            health={"path": "/", "interval": "5s", "timeout": "1s", "healthy_after": 1},
            retry={"attempts": 1, "on": ["connect"]},
        )
    },
    auth={
        "keys": {"type": "api_key", "header": "X-Key"},
        "users": jwt(algorithms=["ES256"], header="X-Token", subject_claim="uid"),
        "ask": {
            "type": "forward",
            "url": "https://auth.acme.com/check?of=acme",
            "copy_headers": ["X-Role"],
            "subject_header": "X-User",
            "timeout": "1s",
        },
        "staff": {
            "type": "basic",
            "users": {"ann": f"$argon2id$v=19$m=19456,t=2,p=1${'A' * 22}${'A' * 43}"},
            "realm": "Acme",
        },
    },
    limits={
        "team": {"rate": "1/s", "burst": 1, "by": {"header": "X-Team"}, "on_store_loss": "open"},
        "plan": {"rate": "1/s", "by": {"claim": "plan"}},
    },
    routes=[
        route(
            methods=["GET"],
            domains=["shop.acme.com"],
            match={"headers": {"X-A": "1"}, "query": {"b": "1"}},
            auth=["keys", "users"],
            scopes=["orders:read"],
            limits=["team", "plan"],
            rewrite={"regex": "^/v1", "to": "/"},
            headers={
                "request": {"set": {"X-A": "b", "X-P": {"claim": "plan"}}, "remove": ["Cookie"]},
                "response": {"remove": ["Server"]},
            },
            max_body="1MiB",
            websocket=True,
            priority=1,
            keep_credentials=False,
        )
    ],
)


def put(raw: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Give a copy of a raw document with another value at this place."""
    changed = copy.deepcopy(raw)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed
