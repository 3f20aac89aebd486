"""Small records of tenants, keys and tokens, for tests of what is kept and read."""

from __future__ import annotations

import asyncio
from typing import Any

import redis

from store.catalog import Change, TokenRecord
from store.codec import TenantRecord
from store.secrets import ApiKeyRecord


def a_record(tenant: str, *hosts: str, **fields: Any) -> TenantRecord:
    return TenantRecord({"tenant": tenant, "domains": list(hosts), **fields})


def put(tenant: str, *hosts: str, **fields: Any) -> Change:
    return Change(tenant, a_record(tenant, *hosts, **fields), actor="ann", action="tenant.put")


def an_api_key(key_id: str, created_at_ms: int = 1) -> ApiKeyRecord:
    return ApiKeyRecord(key_id, f"key {key_id}", b"h" * 32, created_at_ms)


def a_token(token_id: str, created_at_ms: int = 1) -> TokenRecord:
    return TokenRecord(token_id, "laptop", b"h" * 32, "operator", None, created_at_ms)


async def everything(url: str) -> dict[str, Any]:
    """All of Redis' content, for comparing before with after."""

    def dump() -> dict[str, Any]:
        with redis.Redis.from_url(url) as raw:
            return {str(name): raw.dump(name) for name in sorted(raw.keys())}

    return await asyncio.to_thread(dump)
