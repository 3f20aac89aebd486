"""API keys as a way to show who calls: held against their records, in a header or in the query."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import unquote_plus

from edge.client_edge.auth import AuthMethod
from edge.client_edge.key_cache import KeyCache
from edge.context import Identity, ProxyContext
from edge.errors import EdgeError
from edge.message import ProxyRequest
from store.errors import StoreError
from store.model import ApiKeyAuth
from store.secrets import ApiKeyRecord, hash_secret, is_expired, is_same_hash, key_id_of, parse_api_key


class ApiKeyMethod(AuthMethod):
    """Knows a tenant's callers by their API keys, as long as `keys` remembers them without the store."""

    def __init__(
        self,
        tenant: str,
        declared: ApiKeyAuth,
        keys: KeyCache,
        now_s: Callable[[], float] = time.time,
        note_use: Callable[[str, str], None] | None = None,
    ) -> None:
        """`note_use` is told of each key, by tenant and id, that lets a request pass."""
        self._tenant = tenant
        self._header = declared.header
        self._query = declared.query
        self._keys = keys
        self._now_s = now_s
        self._note_use = note_use
        where = f'header="{self._header}"' if self._header is not None else f'query="{self._query}"'
        self.challenge = f"ApiKey {where}"  # the scheme is nobody's standard, but it names the place

    def shown(self, request: ProxyRequest, *, keep: bool) -> str | None:
        """Give the key; the rest of a query stays byte for byte."""
        if self._header is not None:
            given = request.in_req.headers.get(self._header)
            if given is not None and not keep:
                request.remove_field(self._header)
            return given
        return self._from_query(request, keep=keep)

    def _from_query(self, request: ProxyRequest, *, keep: bool) -> str | None:
        if not request.query_string:
            return None
        pairs = request.query_string.split("&")
        named = [pair for pair in pairs if unquote_plus(pair.partition("=")[0]) == self._query]
        if not named:
            return None
        if not keep:
            request.query_string = "&".join([pair for pair in pairs if pair not in named])
        return unquote_plus(named[0].partition("=")[2])

    def known(self, ctx: ProxyContext, shown: str) -> Identity | None:  # noqa: ARG002 - the key says it all
        """Say who calls with a key that is known here, if the whole of it is right."""
        key_id = key_id_of(shown)
        record = None if key_id is None else self._keys.known(self._tenant, key_id)
        if record is None or not is_same_hash(hash_secret(shown), record.hash):
            return None
        return self._identity(record)

    async def judge(self, ctx: ProxyContext, shown: str) -> Identity | None:  # noqa: ARG002 - the key says it all
        """Say who calls; EdgeError `store_down` for a key that is not known here while the store is lost."""
        parsed = parse_api_key(shown)  # its checksum saves the store a look-up
        if parsed is None:
            return None
        try:
            record = await self._keys.get(self._tenant, parsed.id)
        except StoreError as error:
            raise EdgeError("store_down", "an API key not known here") from error
        if record is None or not is_same_hash(parsed.hash, record.hash):
            return None
        return self._identity(record)

    def _identity(self, record: ApiKeyRecord) -> Identity | None:
        if is_expired(record.expires_at_ms, int(self._now_s() * 1000)):
            return None
        if self._note_use is not None:
            self._note_use(self._tenant, record.id)
        return Identity(record.id, record.id, "api_key", record.scopes)
