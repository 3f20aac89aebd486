"""Who calls: the API key of a request, held against its record.

No key or a wrong one is a 401, whatever is wrong with it; a key that cannot be judged because the store is lost is a
503, never a 401. The credential itself goes no further than here, unless the route keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from urllib.parse import unquote_plus

from edge.client_edge.key_cache import KeyCache
from edge.context import Identity, ProxyContext
from edge.errors import EdgeError
from edge.message import ProxyRequest
from edge.middleware import ProxyMiddleware
from store.errors import StoreError
from store.model import ApiKeyAuth
from store.secrets import ApiKeyRecord, hash_secret, is_expired, is_same_hash, key_id_of, parse_api_key


def require_api_key(
    tenant: str,
    methods: Sequence[ApiKeyAuth],
    keys: KeyCache,
    *,
    keep_credentials: bool = False,
    now_s: Callable[[], float] = time.time,
) -> ProxyMiddleware:
    """Make the middleware that lets a request pass when any of these methods finds a valid key of the tenant.

    It sets the identity. EdgeError `unauthorized`, or `store_down` when a key is not known here, the store cannot be
    asked, and no other method finds a valid one.
    """
    challenge = (("WWW-Authenticate", ", ".join(_challenge(method) for method in methods)),)

    async def check(ctx: ProxyContext) -> None:
        record: ApiKeyRecord | None = None
        lost: StoreError | None = None
        for method in methods:
            given = _given(ctx.request, method)
            if given is None:
                continue
            if not keep_credentials:
                _remove(ctx.request, method)
            try:
                record = record or await _valid_record(tenant, given, keys, now_s)
            except StoreError as error:
                lost = error
        if record is None and lost is not None:
            raise EdgeError("store_down", "an API key not known here") from lost
        if record is None:
            raise EdgeError("unauthorized", headers=challenge)
        ctx.identity = Identity(record.id, record.id, "api_key", record.scopes)

    return check


async def _valid_record(tenant: str, given: str, keys: KeyCache, now_s: Callable[[], float]) -> ApiKeyRecord | None:
    key_id = key_id_of(given)
    if key_id is None:
        return None
    # The checksum is there to save the store a look-up; for a key that is known the hash says all.
    record = keys.known(tenant, key_id)
    if record is None:
        record = None if parse_api_key(given) is None else await keys.get(tenant, key_id)
    if record is None or not is_same_hash(hash_secret(given), record.hash):
        return None
    return None if is_expired(record.expires_at_ms, int(now_s() * 1000)) else record


def _given(request: ProxyRequest, method: ApiKeyAuth) -> str | None:
    if method.header is not None:
        return request.in_req.headers.get(method.header)
    query = request.query_string
    if not query or method.query is None:
        return None
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if unquote_plus(name) == method.query:
            return unquote_plus(value)
    return None


def _remove(request: ProxyRequest, method: ApiKeyAuth) -> None:
    """Take the credential out of what goes to the target; the rest of the query stays byte for byte."""
    if method.header is not None:
        request.headers.popall(method.header, None)
        return
    pairs = request.query_string.split("&")
    request.query_string = "&".join(pair for pair in pairs if unquote_plus(pair.partition("=")[0]) != method.query)


def _challenge(method: ApiKeyAuth) -> str:
    """Say how to authenticate (RFC 9110 section 11.6.1); the scheme is nobody's standard, but it names the place."""
    place = f'header="{method.header}"' if method.header is not None else f'query="{method.query}"'
    return f"ApiKey {place}"
