"""Admin tokens: who is asking, and who may ask. Kept as hashes; the bootstrap token is not kept at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from store.catalog import Catalog
from store.errors import NotFound
from store.model import Fault
from store.secrets import TokenRecord, hash_secret, is_expired, is_same_hash, new_token, parse_token
from tenants.actors import Actor, ActorKind, no_such_tenant, require_operator, require_reach
from tenants.errors import INVALID, NOT_FOUND, UNAUTHENTICATED, Refused
from tenants.expiry import NEVER, Expiry, check_name
from tenants.paging import Slice, slice_oldest_first

BOOTSTRAP_TOKEN_MIN_CHARS = 24
BOOTSTRAP_ID = "bootstrap"


@dataclass(frozen=True, slots=True)
class NewAdminToken:
    """What a caller wants of a new token: a tenant's needs no more than the tenant, an operator's must be named so."""

    name: str
    kind: Literal["operator", "tenant"] | None = None
    tenant: str | None = None
    expiry: Expiry = NEVER


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A token just made: the only time that its secret is known. `revision`: the store's head, which it left alone."""

    record: TokenRecord
    secret: str
    revision: int


@dataclass(frozen=True, slots=True)
class RemovedToken:
    """A token just revoked; `revision`: the store's head, which it left alone."""

    id: str
    revision: int


class Tokens:
    """Operations on tokens; operators only, except to be recognised by one.

    `bootstrap`: an operator token that exists from the start, at least 24 characters (ValueError when shorter); None
    or empty: there is none. Its hash is held, it is never stored.
    """

    def __init__(self, catalog: Catalog, now_ms: Callable[[], int], bootstrap: str | None = None) -> None:
        if bootstrap and len(bootstrap) < BOOTSTRAP_TOKEN_MIN_CHARS:
            raise ValueError(f"the bootstrap token has fewer than {BOOTSTRAP_TOKEN_MIN_CHARS} characters")
        self._catalog = catalog
        self._now_ms = now_ms
        self._bootstrap_hash = hash_secret(bootstrap) if bootstrap else None

    async def authenticate(self, text: str) -> Actor:
        """Return who holds this token; `Refused` with 401 does not say what is wrong with it."""
        if self._bootstrap_hash is not None and is_same_hash(hash_secret(text), self._bootstrap_hash):
            return Actor("operator", BOOTSTRAP_ID)
        parsed = parse_token(text)
        record = await self._catalog.get_token(parsed.id) if parsed else None
        if parsed is None or record is None or not is_same_hash(parsed.hash, record.hash):
            raise Refused(UNAUTHENTICATED, "this token is not known here")
        if is_expired(record.expires_at_ms, self._now_ms()):
            raise Refused(UNAUTHENTICATED, "this token has expired")
        return Actor(record.kind, record.id, record.tenant)

    async def list(self, actor: Actor, cursor: str | None, limit: int) -> Slice[TokenRecord]:
        """Return up to `limit` tokens after `cursor`, oldest first."""
        require_operator(actor, "list tokens")
        return slice_oldest_first(await self._catalog.list_tokens(), cursor, limit)

    async def get(self, actor: Actor, token_id: str) -> TokenRecord:
        """Return one token."""
        require_operator(actor, "look at tokens")
        record = await self._catalog.get_token(token_id)
        if record is None:
            raise _no_such_token(token_id)
        return record

    async def create(self, actor: Actor, new: NewAdminToken) -> CreatedToken:
        """Make a token; the answer is the only place its secret is ever in. A tenant must exist to have one."""
        require_operator(actor, "create tokens")
        kind = _kind_of(new)
        if new.tenant is not None:
            require_reach(actor, new.tenant)
            if await self._catalog.get(new.tenant) is None:
                raise no_such_tenant(new.tenant)
        head = await self._catalog.head()  # before, not after: once made, the secret must reach its owner
        now_ms = self._now_ms()
        fresh = new_token()
        record = TokenRecord(
            id=fresh.id,
            name=check_name(new.name),
            hash=fresh.hash,
            kind=kind,
            tenant=new.tenant,
            created_at_ms=now_ms,
            expires_at_ms=new.expiry.at_ms(now_ms),
        )
        await self._catalog.put_token(record, actor=actor.label)
        return CreatedToken(record, fresh.text, head.revision)

    async def delete(self, actor: Actor, token_id: str) -> RemovedToken:
        """Revoke a token, at once: every request asks the store."""
        require_operator(actor, "revoke tokens")
        try:
            await self._catalog.delete_token(token_id, actor=actor.label)
        except NotFound as error:
            raise _no_such_token(token_id) from error
        return RemovedToken(token_id, (await self._catalog.head()).revision)

    async def delete_all_of(self, actor: Actor, tenant: str) -> None:
        """Revoke every token of a tenant that is gone, so that whoever takes its name next does not inherit them."""
        for record in await self._catalog.list_tokens():
            if record.tenant == tenant:
                await self._drop(record.id, actor)

    async def _drop(self, token_id: str, actor: Actor) -> None:
        try:
            await self._catalog.delete_token(token_id, actor=actor.label)
        except NotFound:
            return  # somebody else was faster


def _kind_of(new: NewAdminToken) -> ActorKind:
    if new.tenant is None and new.kind == "operator":
        return "operator"
    if new.tenant is None:
        raise _fault("tenant", 'name the tenant, or say kind: "operator"')
    if new.kind == "operator":
        raise _fault("tenant", "an operator's token has no tenant")
    return "tenant"


def _fault(path: str, message: str) -> Refused:
    return Refused(INVALID, f"{path}: {message}", [Fault(path, message)])


def _no_such_token(token_id: str) -> Refused:
    return Refused(NOT_FOUND, f"there is no token {token_id[:80]!r}")
