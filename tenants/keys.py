"""API keys of a tenant: shown once, kept as a hash, revoked for good."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from store.catalog import KEEP, Catalog, Change, Commit
from store.errors import NotFound
from store.secrets import ApiKeyRecord, new_api_key
from tenants.actors import Actor, no_such_tenant, require_reach
from tenants.errors import NOT_FOUND, TOO_MANY, Refused
from tenants.expiry import NEVER, Expiry, check_name, check_scopes
from tenants.paging import Slice, slice_oldest_first

MAX_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """What a caller wants of a new key."""

    name: str
    expiry: Expiry = NEVER
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A key just made: the only time that its secret is known."""

    record: ApiKeyRecord
    secret: str
    revision: int
    durable: bool | None


@dataclass(frozen=True, slots=True)
class RemovedKey:
    """A key just revoked, and the revision that every worker has to reach for it to be refused everywhere."""

    id: str
    revision: int
    durable: bool | None


class Keys:
    """Operations on API keys. A key made or revoked is a commit of its own, which leaves the document as it is."""

    def __init__(self, catalog: Catalog, now_ms: Callable[[], int]) -> None:
        self._catalog = catalog
        self._now_ms = now_ms

    async def list(self, actor: Actor, tenant: str, cursor: str | None, limit: int) -> Slice[ApiKeyRecord]:
        """Return up to `limit` keys after `cursor`, oldest first."""
        return slice_oldest_first(await self._all(actor, tenant), cursor, limit)

    async def get(self, actor: Actor, tenant: str, key_id: str) -> ApiKeyRecord:
        """Return one key."""
        require_reach(actor, tenant)
        record = await self._catalog.get_key(tenant, key_id)
        if record is None:
            raise _no_such_key(tenant, key_id)
        return record

    async def last_used(self, actor: Actor, tenant: str, key_ids: Sequence[str]) -> Mapping[str, int]:
        """Return when each of these keys was last used, in Unix ms, coarsely; none that was not yet."""
        require_reach(actor, tenant)
        return await self._catalog.last_used(tenant, key_ids)

    async def create(self, actor: Actor, tenant: str, new: NewApiKey) -> CreatedKey:
        """Make a key; the answer is the only place its secret is ever in."""
        count = len(await self._all(actor, tenant))
        if count >= MAX_KEYS:
            raise Refused(TOO_MANY, f"tenant {tenant!r} has {count} keys already; revoke some first")
        now_ms = self._now_ms()
        name, scopes, expires_at_ms = check_name(new.name), check_scopes(new.scopes), new.expiry.at_ms(now_ms)
        fresh = new_api_key()
        record = ApiKeyRecord(fresh.id, name, fresh.hash, now_ms, expires_at_ms, scopes)
        commit = await self._commit(_change(actor, tenant, record), tenant)
        return CreatedKey(record, fresh.text, commit.revision, commit.durable)

    async def delete(self, actor: Actor, tenant: str, key_id: str) -> RemovedKey:
        """Revoke a key; `?wait=fleet` tells when no live worker takes it any more."""
        await self.get(actor, tenant, key_id)
        commit = await self._commit(_change(actor, tenant, drop=key_id), tenant)
        return RemovedKey(key_id, commit.revision, commit.durable)

    async def _all(self, actor: Actor, tenant: str) -> Sequence[ApiKeyRecord]:
        require_reach(actor, tenant)
        records = await self._catalog.list_keys(tenant)
        if not records and await self._catalog.get(tenant) is None:
            raise no_such_tenant(tenant)
        return records

    async def _commit(self, change: Change, tenant: str) -> Commit:
        try:
            return await self._catalog.commit(change, None)
        except NotFound as error:
            # deleted by somebody else since it was looked at: the tenant, or the key
            if change.drop_keys and await self._catalog.get(tenant) is not None:
                raise _no_such_key(tenant, change.drop_keys[0]) from error
            raise no_such_tenant(tenant) from error


def _change(actor: Actor, tenant: str, record: ApiKeyRecord | None = None, drop: str | None = None) -> Change:
    return Change(
        tenant=tenant,
        record=KEEP,
        put_keys=(record,) if record else (),
        drop_keys=(drop,) if drop else (),
        actor=actor.label,
        action="key.create" if record else "key.delete",
        detail={"key": record.id, "name": record.name} if record else {"key": drop},
    )


def _no_such_key(tenant: str, key_id: str) -> Refused:
    return Refused(NOT_FOUND, f"tenant {tenant!r} has no key {key_id[:80]!r}")
