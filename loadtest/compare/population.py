"""The tenants that are loaded: a host, an API key and a limit for each; and the few of them whose callers call."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from loadtest.compare.stage import PLAIN_HOST, SECRET_FIELD, Caller, Stage
from loadtest.node import change_of
from store.catalog import Catalog, Change
from store.secrets import ApiKeyRecord, NewKey, new_api_key

CALLING = 100
COMMITS_AT_ONCE = 32
RATE_PER_S = 10_000  # for each key; nobody comes near, so nobody is refused


@dataclass(frozen=True, slots=True)
class Member:
    """One tenant and its key."""

    tenant: str
    host: str
    key: NewKey


def members(count: int) -> list[Member]:
    """Make so many tenants, with keys that nobody else has."""
    return [Member(f"t{number}", f"t{number}.example.com", new_api_key()) for number in range(count)]


def callers_of(everybody: list[Member]) -> list[Caller]:
    """Choose those who call: a hundred at most, evenly among all."""
    calling = min(CALLING, len(everybody))
    chosen = [everybody[number * len(everybody) // calling] for number in range(calling)]
    return [Caller(each.host, each.key.text) for each in chosen]


def plain_document(stage: Stage) -> dict[str, Any]:
    """Return the one tenant of the scenarios without checks; /ws goes to who echoes, all else to the origin."""
    return {
        "tenant": "plain",
        "domains": [{"host": PLAIN_HOST, "verified_by": "operator"}],
        "upstreams": {
            "web": {"targets": [f"http://127.0.0.1:{stage.origin_port}"]},
            "echo": {"targets": [f"http://127.0.0.1:{stage.echo_port}"]},
        },
        "routes": [
            {"name": "echo", "path": "/ws", "upstream": "echo"},
            {"name": "all", "path": "/*", "upstream": "web"},
        ],
    }


def checked_document(member: Member, stage: Stage) -> dict[str, Any]:
    """Return a tenant with all checks. Its limit fails closed, so what Redis did not count is not a success."""
    limit = {"rate": f"{RATE_PER_S}/s", "burst": RATE_PER_S, "by": "key", "on_store_loss": "closed"}
    return {
        "tenant": member.tenant,
        "domains": [{"host": member.host, "verified_by": "operator"}],
        "upstreams": {"web": {"targets": [f"http://127.0.0.1:{stage.origin_port}"]}},
        "auth": {"keys": {"type": "api_key", "header": SECRET_FIELD}},
        "limits": {"per-key": limit},
        "routes": [{"name": "all", "path": "/*", "upstream": "web", "auth": ["keys"], "limits": ["per-key"]}],
    }


async def put_all(catalog: Catalog, everybody: list[Member], stage: Stage) -> None:
    """Commit all of them, many at once. Raises what a commit may raise, in a group."""
    waiting = iter(everybody)
    async with asyncio.TaskGroup() as group:
        for _ in range(COMMITS_AT_ONCE):
            group.create_task(_put_each(catalog, waiting, stage))


async def _put_each(catalog: Catalog, waiting: Iterator[Member], stage: Stage) -> None:
    for member in waiting:
        key = ApiKeyRecord(member.key.id, "loadtest", member.key.hash, 0)
        change: Change = replace(change_of(checked_document(member, stage)), put_keys=(key,))
        await catalog.commit(change, None)
