"""Who calls: the API key of a request, held against its record.

No key or a wrong one is a 401, whatever is wrong with it; a key that cannot be judged because the store is lost is a
503, never a 401. The credential itself goes no further than here, unless the route keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote_plus

from edge.client_edge.key_cache import KeyCache
from edge.context import Identity, ProxyContext
from edge.errors import EdgeError
from edge.message import ProxyRequest
from edge.middleware import ProxyMiddleware
from store.errors import StoreError
from store.model import ApiKeyAuth
from store.secrets import ApiKeyRecord, hash_secret, is_expired, is_same_hash, key_id_of, parse_api_key


class Place(NamedTuple):
    """Where a key is shown: in a header, or in a query parameter."""

    header: str | None
    query: str | None


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
    places = [Place(method.header, method.query) for method in methods]
    challenge = (("WWW-Authenticate", ", ".join(map(_challenge, places))),)

    def check(ctx: ProxyContext) -> Awaitable[None] | None:
        given = [text for place in places if (text := _taken(ctx.request, place, keep_credentials)) is not None]
        if not given:
            raise EdgeError("unauthorized", headers=challenge)
        for text in given:  # a key that is known here needs no waiting
            if accept(ctx, _known_record(tenant, text, keys)):
                return None
        return ask(ctx, given)

    async def ask(ctx: ProxyContext, given: Sequence[str]) -> None:
        lost: StoreError | None = None
        for text in given:
            try:
                if accept(ctx, await _record(tenant, text, keys)):
                    return
            except StoreError as error:
                lost = error
        if lost is not None:
            raise EdgeError("store_down", "an API key not known here") from lost
        raise EdgeError("unauthorized", headers=challenge)

    def accept(ctx: ProxyContext, record: ApiKeyRecord | None) -> bool:
        if record is None or is_expired(record.expires_at_ms, int(now_s() * 1000)):
            return False
        ctx.identity = Identity(record.id, record.id, "api_key", record.scopes)
        return True

    return check


def _known_record(tenant: str, given: str, keys: KeyCache) -> ApiKeyRecord | None:
    """Give the record of a key that is known here, if the whole of it is right."""
    key_id = key_id_of(given)
    record = None if key_id is None else keys.known(tenant, key_id)
    return record if record is not None and is_same_hash(hash_secret(given), record.hash) else None


async def _record(tenant: str, given: str, keys: KeyCache) -> ApiKeyRecord | None:
    """Give the record of a key, if the whole of it is right; StoreError when nobody can tell."""
    parsed = parse_api_key(given)  # its checksum saves the store a look-up
    record = None if parsed is None else await keys.get(tenant, parsed.id)
    return record if parsed is not None and record is not None and is_same_hash(parsed.hash, record.hash) else None


def _taken(request: ProxyRequest, place: Place, keep: bool) -> str | None:
    """Give what was shown in a place, and take it out of what goes to the target unless it is to be kept."""
    given = _given(request, place)
    if given is not None and not keep:
        _remove(request, place)
    return given


def _given(request: ProxyRequest, place: Place) -> str | None:
    if place.header is not None:
        return request.in_req.headers.get(place.header)
    query = request.query_string
    if not query or place.query is None:
        return None
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if unquote_plus(name) == place.query:
            return unquote_plus(value)
    return None


def _remove(request: ProxyRequest, place: Place) -> None:
    """Take the credential out of what goes to the target; the rest of the query stays byte for byte."""
    if place.header is not None:
        request.remove_field(place.header)
        return
    pairs = request.query_string.split("&")
    request.query_string = "&".join(pair for pair in pairs if unquote_plus(pair.partition("=")[0]) != place.query)


def _challenge(place: Place) -> str:
    """Say how to authenticate (RFC 9110 section 11.6.1); the scheme is nobody's standard, but it names the place."""
    where = f'header="{place.header}"' if place.header is not None else f'query="{place.query}"'
    return f"ApiKey {where}"
