"""The tenants' documents, hosts, API keys and tokens in Redis, and the log of their changes.

Every change of a tenant is one `commit`: one script, all or nothing, one revision. Readers follow with
`changes_since(revision)`: from 0 it is everything, from the last revision seen it is what was missed.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from store import keys
from store.changes import (
    KEEP,
    AuditEntry,
    Change,
    Changes,
    Commit,
    Item,
    Page,
    RevisionInfo,
    Stored,
    commit_arguments,
    list_arguments,
    read_audit,
    read_changes,
    read_page,
    read_stored,
    readable_entries,
)
from store.client import Client
from store.codec import CodecError, TenantRecord, decode_api_key, decode_token, encode_token, pack_fields
from store.digests import Digests, Past, read_digests, read_past
from store.errors import (
    AlreadyExists,
    HostClaimed,
    NotFound,
    RecordUnreadable,
    RevisionConflict,
    StoreError,
    StoreRefused,
)
from store.head import Head, read_head
from store.model import PLANS
from store.scripts import Argument, Ask, ask_script, script
from store.secrets import ApiKeyRecord, TokenRecord

__all__ = [
    "KEEP",
    "AuditEntry",
    "Catalog",
    "Change",
    "Changes",
    "Commit",
    "Head",
    "Item",
    "Page",
    "RevisionInfo",
    "Stored",
    "TokenRecord",
]

HISTORY_KEPT = 20
AUDIT_KEPT = 100_000
DONE_KEPT_MS = 60_000
WAIT_MS = 500
PAGE_BYTES = 4 * 1024 * 1024
DIGESTED_BYTES = 256 * 1024  # well under a millisecond of Redis' time


class Catalog:
    """Reads and writes of configuration. Every method may raise StoreUnavailable and StoreRefused.

    `min_replicas`: how many replicas must confirm a commit for it to be called durable; 0 asks none. Not
    possible on a Redis Cluster, where a confirmation cannot be tied to the commit's connection.
    """

    def __init__(self, client: Client, *, min_replicas: int = 0) -> None:
        if min_replicas and client.address.kind == "cluster":
            raise ValueError("min_replicas cannot be used with redis+cluster://")
        self._client = client
        self._min_replicas = min_replicas

    async def commit(self, change: Change, expected_revision: int | None) -> Commit:
        """Make one change, all of it or nothing of it.

        `expected_revision` is the document's (its ETag): None accepts any, 0 demands that there is none.
        API keys put or dropped give a new revision to the tenant, not to its document. Safe to call again
        after any error: a commit sent twice by a retry in here happens once.

        Raises RevisionConflict, HostClaimed, NotFound (deleting or keeping what is not there),
        AlreadyExists (a key id used before), CodecError (record too large), StoreUnavailable (ambiguous:
        read before trying again).
        """
        commit_id = uuid.uuid4().hex
        names = [
            keys.epoch(),
            keys.revision(),
            keys.documents(),
            keys.changes(),
            keys.names(),
            keys.hosts(),
            keys.claims(change.tenant),
            keys.history(change.tenant),
            keys.api_keys(change.tenant),
            keys.audit(),
            keys.done(commit_id),
            keys.key_uses(change.tenant),
            keys.callers(),
            keys.run(),
        ]
        limits: list[Argument] = [HISTORY_KEPT, AUDIT_KEPT, DONE_KEPT_MS, keys.tick_channel()]
        args = [
            *commit_arguments(change, expected_revision, epoch=uuid.uuid4().hex),
            *limits,
            *list_arguments(change),
        ]

        async def talk(ask: Ask) -> tuple[list[Any], bool | None]:
            reply = await ask_script(ask, script("commit"), names, args)
            if not self._min_replicas or reply[0] != b"ok":
                return reply, None
            # On the commit's own connection: WAIT counts replicas that have what this connection wrote.
            return reply, await ask("WAIT", self._min_replicas, WAIT_MS) >= self._min_replicas

        reply, durable = await self._client.converse(talk, is_write=True)
        if reply[0] != b"ok":
            raise _refusal(reply)
        return Commit(int(reply[1]), durable)

    async def get(self, tenant: str) -> Stored | None:
        """Return a tenant's document, or None."""
        value = await self._client.ask("HGET", keys.documents(), tenant)
        return None if value is None else read_stored(tenant, value)

    async def tenants(self, cursor: str | None = None, limit: int = 100) -> Page:
        """Return a page of tenants by name; it may hold fewer than `limit` when their documents are large."""
        args: list[Argument] = [cursor or "", max(1, limit), PAGE_BYTES]
        return read_page(await self._client.run(script("tenants"), [keys.documents(), keys.names()], args))

    async def head(self) -> Head:
        """Return the epoch and the last revision of anything."""
        return read_head(await self._client.ask("MGET", keys.epoch(), keys.revision()))

    async def changes_since(self, revision: int, limit: int = 500) -> Changes:
        """Return what changed after `revision`, in one round trip and of one moment; 0 returns everything.

        Bounded by `limit` tenants and by a few MiB: ask again while the answer is not complete.
        """
        names = [keys.epoch(), keys.revision(), keys.documents(), keys.changes(), keys.callers(), keys.run()]
        args: list[Argument] = [revision, max(1, limit), PAGE_BYTES, keys.history("")]
        return read_changes(await self._client.run(script("changes"), names, args))

    async def digests(self, cursor: str | None = None, limit: int = 100) -> Digests:
        """Return what a page of documents come to, by name; it may hold fewer than `limit` when they are large.

        The first page has the plans as well, before its tenants, if ever there were any.
        """
        names = [keys.epoch(), keys.documents(), keys.names(), keys.changes(), keys.history(PLANS)]
        args: list[Argument] = [cursor or "", max(1, limit), DIGESTED_BYTES, PLANS]
        return read_digests(await self._client.run(script("digests"), names, args))

    async def past(self, tenant: str) -> Past:
        """Return what can be served of a tenant whose document cannot be used; what is damaged is left out."""
        entries = await self._client.ask("LRANGE", keys.history(tenant), 0, -1)
        # The hosts last: one that was given up in between must not be among them.
        hosts = await self._client.ask("SMEMBERS", keys.claims(tenant))
        return read_past(tenant, hosts, entries)

    async def history(self, tenant: str) -> list[RevisionInfo]:
        """Return the last revisions of the tenant's document, newest first, but for entries that are damaged."""
        entries = await self._client.ask("LRANGE", keys.history(tenant), 0, -1)
        return [info for info, _ in readable_entries(tenant, entries)]

    async def record_at(self, tenant: str, revision: int) -> TenantRecord:
        """Return the record as it was at a revision of its history. Raises NotFound, RecordUnreadable."""
        entries = await self._client.ask("LRANGE", keys.history(tenant), 0, -1)
        for info, stored in readable_entries(tenant, entries):
            if info.revision == revision:
                return stored.record()
        raise NotFound(f"revision {revision} of tenant {tenant}")

    async def audit(self, cursor: str | None = None, limit: int = 100) -> list[AuditEntry]:
        """Return audit entries, newest first, before the entry whose `cursor` is given."""
        args: list[Argument] = [cursor or "", max(1, limit)]
        return read_audit(await self._client.run(script("audit"), [keys.audit()], args))

    async def host_owner(self, host: str) -> str | None:
        """Return the tenant that owns a host; not for a tenant's eyes."""
        owner = await self._client.ask("HGET", keys.hosts(), host)
        return None if owner is None else str(owner, "utf-8")

    async def list_keys(self, tenant: str) -> list[ApiKeyRecord]:
        """Return a tenant's API keys, oldest first. Raises RecordUnreadable."""
        values = await self._client.ask("HVALS", keys.api_keys(tenant))
        return sorted((_api_key(tenant, value) for value in values), key=lambda key: (key.created_at_ms, key.id))

    async def get_key(self, tenant: str, key_id: str) -> ApiKeyRecord | None:
        """Return one API key, or None. Raises RecordUnreadable."""
        value = await self._client.ask("HGET", keys.api_keys(tenant), key_id)
        return None if value is None else _api_key(tenant, value)

    async def note_used(self, uses: Mapping[str, Sequence[str]]) -> None:
        """Note that API keys, by tenant, were used about now; ids that no key has are left out."""
        names = [name for tenant in uses for name in (keys.api_keys(tenant), keys.key_uses(tenant))]
        args: list[Argument] = []
        for ids in uses.values():
            args += [len(ids), *ids]
        await self._client.run(script("used"), names, args, is_write=True)

    async def last_used(self, tenant: str, key_ids: Sequence[str]) -> dict[str, int]:
        """Return when each of these API keys was last used, in Unix ms, to a minute or two; none that never was."""
        if not key_ids:
            return {}
        found = await self._client.ask("HMGET", keys.key_uses(tenant), *key_ids)
        return {key_id: int(at_ms) for key_id, at_ms in zip(key_ids, found, strict=True) if at_ms is not None}

    async def put_token(self, token: TokenRecord, *, actor: str = "", action: str = "token.create") -> None:
        """Keep a new admin token. Raises AlreadyExists."""
        await self._write_token(token, encode_token(token), actor, action)

    async def delete_token(self, token_id: str, *, actor: str = "", action: str = "token.delete") -> None:
        """Forget an admin token. Raises NotFound."""
        known = await self.get_token(token_id)
        if known is None:
            raise NotFound(f"token {token_id}")
        await self._write_token(known, b"", actor, action)

    async def get_token(self, token_id: str) -> TokenRecord | None:
        """Return one admin token, or None. Raises RecordUnreadable."""
        value = await self._client.ask("HGET", keys.tokens(), token_id)
        return None if value is None else _token(value)

    async def list_tokens(self) -> list[TokenRecord]:
        """Return the admin tokens, oldest first. Raises RecordUnreadable."""
        values = await self._client.ask("HVALS", keys.tokens())
        return sorted((_token(value) for value in values), key=lambda token: (token.created_at_ms, token.id))

    async def _write_token(self, token: TokenRecord, value: bytes, actor: str, action: str) -> None:
        names = [keys.tokens(), keys.audit(), keys.done(uuid.uuid4().hex)]
        detail = pack_fields({"id": token.id, "name": token.name, "kind": token.kind})
        args: list[Argument] = [
            token.id,
            value,
            token.tenant or "",
            actor,
            action,
            detail,
            AUDIT_KEPT,
            DONE_KEPT_MS,
        ]
        reply = await self._client.run(script("token"), names, args, is_write=True)
        if reply != b"ok":
            what = f"token {token.id}"
            raise NotFound(what) if reply == b"missing" else AlreadyExists(what)


def _refusal(reply: list[Any]) -> StoreError:
    kind, rest = reply[0], reply[1:]
    if kind == b"conflict":
        return RevisionConflict(int(rest[0]))
    if kind == b"claimed":
        return HostClaimed(host.decode() for host in rest)
    if kind == b"missing":
        return NotFound(rest[0].decode())
    if kind == b"exists":
        return AlreadyExists(f"API key {rest[0].decode()}")
    return StoreRefused("the commit script answered something unknown")


def _api_key(tenant: str, value: bytes) -> ApiKeyRecord:
    try:
        return decode_api_key(value)
    except CodecError as error:
        raise RecordUnreadable(tenant, 0, f"an API key: {error.reason}") from error


def _token(value: bytes) -> TokenRecord:
    try:
        return decode_token(value)
    except CodecError as error:
        raise RecordUnreadable("-", 0, f"an admin token: {error.reason}") from error
