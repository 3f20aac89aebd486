"""A tenant's API keys and everybody's admin tokens: list, create, delete."""

from __future__ import annotations

from store.secrets import ApiKeyRecord, TokenRecord
from tenants.api.models import KeyAnswer, KeyCreated, NewKey, NewToken, Page, Removed, TokenAnswer, TokenCreated
from tenants.api.operations import Call, Operation, Outcome
from tenants.api.queries import PageQuery, WriteQuery
from tenants.expiry import Expiry
from tenants.keys import NewApiKey
from tenants.times import to_rfc3339
from tenants.tokens import NewAdminToken


async def list_keys(call: Call) -> Outcome:
    """Answer a page of keys."""
    page = await call.service.keys.list(call.actor, call.tenant, call.query.cursor, call.query.limit)
    used = await call.service.keys.last_used(call.actor, call.tenant, [one.id for one in page.items])
    items = [KeyAnswer(**_key(one, call, used.get(one.id))) for one in page.items]
    return Outcome(Page[KeyAnswer](items=items, cursor=page.cursor))


async def get_key(call: Call) -> Outcome:
    """Answer one key, without its secret."""
    record = await call.service.keys.get(call.actor, call.tenant, call.path["id"])
    used = await call.service.keys.last_used(call.actor, call.tenant, [record.id])
    return Outcome(KeyAnswer(**_key(record, call, used.get(record.id))))


async def create_key(call: Call) -> Outcome:
    """Create a key and answer its secret, this once."""
    body: NewKey = call.body
    new = NewApiKey(body.name, Expiry(body.expires_in, body.expires_at), tuple(body.scopes))
    created = await call.service.keys.create(call.actor, call.tenant, new)
    answer = KeyCreated(
        secret=created.secret, revision=created.revision, durable=created.durable, **_key(created.record, call)
    )
    return Outcome(answer, 201, location=f"/v1/tenants/{call.tenant}/keys/{created.record.id}")


async def delete_key(call: Call) -> Outcome:
    """Revoke a key."""
    removed = await call.service.keys.delete(call.actor, call.tenant, call.path["id"])
    return Outcome(Removed(id=removed.id, revision=removed.revision, durable=removed.durable))


async def list_tokens(call: Call) -> Outcome:
    """Answer a page of tokens."""
    page = await call.service.tokens.list(call.actor, call.query.cursor, call.query.limit)
    items = [TokenAnswer(**_token(one, call)) for one in page.items]
    return Outcome(Page[TokenAnswer](items=items, cursor=page.cursor))


async def get_token(call: Call) -> Outcome:
    """Answer one token, without its secret."""
    return Outcome(TokenAnswer(**_token(await call.service.tokens.get(call.actor, call.path["id"]), call)))


async def create_token(call: Call) -> Outcome:
    """Create a token and answer its secret, this once."""
    body: NewToken = call.body
    new = NewAdminToken(body.name, body.kind, body.tenant, Expiry(body.expires_in, body.expires_at))
    created = await call.service.tokens.create(call.actor, new)
    answer = TokenCreated(secret=created.secret, revision=created.revision, **_token(created.record, call))
    return Outcome(answer, 201, location=f"/v1/tokens/{created.record.id}")


async def delete_token(call: Call) -> Outcome:
    """Revoke a token."""
    removed = await call.service.tokens.delete(call.actor, call.path["id"])
    return Outcome(Removed(id=removed.id, revision=removed.revision))


def _key(record: ApiKeyRecord, call: Call, used_at_ms: int | None = None) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "scopes": list(record.scopes),
        "last_used_at": to_rfc3339(used_at_ms) if used_at_ms is not None else None,
        **_times(record, call),
    }


def _token(record: TokenRecord, call: Call) -> dict[str, object]:
    return {
        "id": record.id,
        "kind": record.kind,
        "tenant": record.tenant,
        "name": record.name,
        **_times(record, call),
    }


def _times(record: ApiKeyRecord | TokenRecord, call: Call) -> dict[str, object]:
    expires_at_ms = record.expires_at_ms
    return {
        "created_at": to_rfc3339(record.created_at_ms),
        "expires_at": to_rfc3339(expires_at_ms) if expires_at_ms is not None else None,
        "expired": call.service.is_expired(expires_at_ms),
    }


_KEYS = "/v1/tenants/{tenant}/keys"

OPERATIONS = (
    Operation(
        "listKeys", "GET", _KEYS, "List a tenant's API keys", list_keys, "API keys", answer=Page[KeyAnswer],
        query=PageQuery, refusals=(404,),
    ),
    Operation(
        "createKey", "POST", _KEYS, "Create an API key; its secret is answered this once", create_key, "API keys",
        answer=KeyCreated, body=NewKey, query=WriteQuery, statuses=(201,), refusals=(404, 409, 422), is_write=True,
    ),
    Operation(
        "getKey", "GET", f"{_KEYS}/{{id}}", "Look at one API key", get_key, "API keys", answer=KeyAnswer,
        refusals=(404,),
    ),
    Operation(
        "deleteKey", "DELETE", f"{_KEYS}/{{id}}", "Revoke an API key", delete_key, "API keys", answer=Removed,
        query=WriteQuery, refusals=(404,), is_write=True,
    ),
    Operation(
        "listTokens", "GET", "/v1/tokens", "List admin tokens; operators only", list_tokens, "Tokens",
        answer=Page[TokenAnswer], query=PageQuery, refusals=(403,),
    ),
    Operation(
        "createToken", "POST", "/v1/tokens", "Create an operator's or a tenant's token; operators only", create_token,
        "Tokens", answer=TokenCreated, body=NewToken, query=WriteQuery, statuses=(201,), refusals=(403, 404, 409, 422),
        is_write=True,
    ),
    Operation(
        "getToken", "GET", "/v1/tokens/{id}", "Look at one admin token; operators only", get_token, "Tokens",
        answer=TokenAnswer, refusals=(403, 404),
    ),
    Operation(
        "deleteToken", "DELETE", "/v1/tokens/{id}", "Revoke an admin token; operators only", delete_token, "Tokens",
        answer=Removed, query=WriteQuery, refusals=(403, 404), is_write=True,
    ),
)  # fmt: skip
