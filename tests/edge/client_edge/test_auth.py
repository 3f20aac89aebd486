"""Who calls: which keys open a route, what a refusal says, and what becomes of the credential."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from typing import Any

import pytest
from multidict import CIMultiDict

from edge.client_edge.api_key import ApiKeyMethod
from edge.client_edge.auth import require_any
from edge.client_edge.key_cache import KeyCache
from edge.context import ProxyContext, ProxyRequest
from edge.errors import EdgeError
from store.errors import StoreUnavailable
from store.model import ApiKeyAuth
from store.secrets import ApiKeyRecord, NewKey, new_api_key, new_token
from tests.fakes.requests import incoming

BY_HEADER = ApiKeyAuth.model_validate({"type": "api_key"})
BY_OTHER_HEADER = ApiKeyAuth.model_validate({"type": "api_key", "header": "X-Old-Key"})
BY_QUERY = ApiKeyAuth.model_validate({"type": "api_key", "query": "api_key"})
NOW_S = 1_700_000_000.0


class Keys:
    """The keys of the tenant acme; `is_lost` makes every look-up fail."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], ApiKeyRecord] = {}
        self.is_lost = False

    def add(self, tenant: str = "acme", **fields: Any) -> NewKey:
        key = new_api_key()
        self.records[tenant, key.id] = ApiKeyRecord(key.id, "test", key.hash, 0, **fields)
        return key

    async def lookup(self, tenant: str, key_id: str) -> ApiKeyRecord | None:
        if self.is_lost:
            raise StoreUnavailable("down")
        return self.records.get((tenant, key_id))


def context(raw_path: str = "/", *fields: tuple[str, str]) -> ProxyContext:
    request = incoming(raw_path=raw_path, headers=[("Host", "shop.test"), *fields])
    path, _, query = raw_path.partition("?")
    return ProxyContext().copy_for(ProxyRequest(request, path, query, CIMultiDict(request.headers)))


async def check(
    ctx: ProxyContext, keys: Keys | KeyCache, methods: Sequence[ApiKeyAuth] = (BY_HEADER,), *, keep: bool = False
) -> ProxyContext:
    cache = keys if isinstance(keys, KeyCache) else KeyCache(keys.lookup)
    compiled = [ApiKeyMethod("acme", method, cache, lambda: NOW_S) for method in methods]
    waiting = require_any(compiled, keep_credentials=keep)(ctx)
    if waiting is not None:
        await waiting
    return ctx


async def refusal(ctx: ProxyContext, keys: Keys | KeyCache, methods: Sequence[ApiKeyAuth] = (BY_HEADER,)) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        await check(ctx, keys, methods)
    assert ctx.identity is None
    return caught.value


async def test_a_key_tells_who_calls() -> None:
    keys = Keys()
    key = keys.add(scopes=("read",))
    ctx = await check(context("/", ("X-API-Key", key.text)), keys)
    assert ctx.identity is not None
    assert (ctx.identity.subject, ctx.identity.key_id, ctx.identity.scopes) == (key.id, key.id, ("read",))
    assert ctx.request.headers["X-Portico-Subject"] == key.id


async def test_every_wrong_key_gets_the_same_401() -> None:
    keys = Keys()
    key = keys.add()
    expired, foreign = keys.add(expires_at_ms=int(NOW_S * 1000)), keys.add("other")
    flipped = key.text[:-8] + ("A" if key.text[-8] != "A" else "B") + key.text[-7:]
    stolen_id = new_api_key()
    keys.records["acme", stolen_id.id] = ApiKeyRecord(stolen_id.id, "test", b"another hash" * 3, 0)
    wrong = ["", "x", "pk_", flipped, expired.text, foreign.text, new_api_key().text, stolen_id.text, new_token().text]
    wrong += [key.text + " ", key.text[:-1], "é" * len(key.text), "\udcff" * len(key.text), "A" * 100_000]
    seen = {
        (error.status, error.code, error.headers, error.detail)
        for text in wrong
        for error in [await refusal(context("/", ("X-API-Key", text)), keys)]
    }
    assert seen == {(401, "unauthorized", (("WWW-Authenticate", 'ApiKey header="X-API-Key"'),), "")}
    assert await refusal(context(), keys)


async def test_a_401_says_every_way_to_authenticate() -> None:
    error = await refusal(context(), Keys(), [BY_HEADER, BY_QUERY])
    assert dict(error.headers)["WWW-Authenticate"] == 'ApiKey header="X-API-Key", ApiKey query="api_key"'


async def test_a_secret_is_compared_in_constant_time_whether_its_key_is_known_or_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[bool] = []

    def spy(given: bytes, kept: bytes) -> bool:
        compared.append(given == kept)
        return given == kept

    monkeypatch.setattr(hmac, "compare_digest", spy)
    keys = Keys()
    key, cache = keys.add(), KeyCache(keys.lookup)
    for _ in range(2):
        await check(context("/", ("X-API-Key", key.text)), cache)
    assert compared == [True, True]
    keys.records["acme", key.id] = ApiKeyRecord(key.id, "test", b"another hash" * 3, 0)
    cache.forget("acme")
    await refusal(context("/", ("X-API-Key", key.text)), cache)
    assert compared == [True, True, False]


async def test_a_key_is_good_until_the_millisecond_it_expires() -> None:
    keys = Keys()
    key = keys.add(expires_at_ms=int(NOW_S * 1000) + 1)
    assert (await check(context("/", ("X-API-Key", key.text)), keys)).identity


async def test_any_of_the_methods_will_do_and_all_credentials_stay_at_the_edge() -> None:
    keys = Keys()
    key = keys.add()
    fields = (("X-API-Key", "wrong"), ("X-Old-Key", key.text))
    ctx = await check(context("/?api_key=wrong&a=1", *fields), keys, [BY_HEADER, BY_OTHER_HEADER, BY_QUERY])
    assert ctx.identity is not None
    assert "X-API-Key" not in ctx.request.headers
    assert "X-Old-Key" not in ctx.request.headers
    assert ctx.request.query_string == "a=1"


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("api_key={}", ""),
        ("a=1&api_key={}&b=%20+&c", "a=1&b=%20+&c"),
        ("api%5Fkey={}&a=1", "a=1"),
        ("api_key={}&a=1&api_key=again", "a=1"),
    ],
)
async def test_a_key_in_the_query_is_taken_out_and_the_rest_stays_byte_for_byte(query: str, left: str) -> None:
    keys = Keys()
    ctx = await check(context("/?" + query.format(keys.add().text)), keys, [BY_QUERY])
    assert ctx.request.query_string == left


async def test_a_route_may_keep_the_credential() -> None:
    keys = Keys()
    key = keys.add()
    ctx = await check(context("/", ("X-API-Key", key.text)), keys, keep=True)
    assert ctx.request.headers["X-API-Key"] == key.text


async def test_a_key_that_is_not_known_is_a_503_and_no_401_while_the_store_is_lost() -> None:
    keys = Keys()
    key = keys.add()
    keys.is_lost = True
    error = await refusal(context("/", ("X-API-Key", key.text)), keys)
    assert (error.status, error.code) == (503, "store_down")
    assert error.retry_after_s


async def test_what_needs_no_store_is_judged_while_it_is_lost() -> None:
    keys = Keys()
    known, cache = keys.add(), KeyCache(keys.lookup)
    await check(context("/", ("X-API-Key", known.text)), cache)
    keys.is_lost = True
    assert (await check(context("/", ("X-API-Key", known.text)), cache)).identity
    assert (await refusal(context("/", ("X-API-Key", "nonsense")), cache)).status == 401
    assert (await refusal(context(), cache)).status == 401


async def test_a_key_that_cannot_be_judged_does_not_hide_one_that_can() -> None:
    keys = Keys()
    known, unknown, cache = keys.add(), keys.add(), KeyCache(keys.lookup)
    await check(context("/", ("X-Old-Key", known.text)), cache, [BY_OTHER_HEADER])
    keys.is_lost = True
    fields = (("X-API-Key", unknown.text), ("X-Old-Key", known.text))
    ctx = await check(context("/", *fields), cache, [BY_HEADER, BY_OTHER_HEADER])
    assert ctx.identity is not None
    assert ctx.identity.key_id == known.id
    assert (await refusal(context("/", *fields[:1]), cache, [BY_HEADER, BY_OTHER_HEADER])).status == 503


async def test_no_refusal_repeats_the_credential() -> None:
    keys = Keys()
    text = new_api_key().text
    errors = [await refusal(context("/", ("X-API-Key", text)), keys)]
    keys.is_lost = True
    errors.append(await refusal(context("/", ("X-API-Key", text)), keys))
    for error in errors:
        cause: BaseException | None = error
        while cause is not None:
            assert text not in repr(cause) + str(cause)
            cause = cause.__cause__


@pytest.mark.parametrize(
    ("scopes", "wanted", "is_let_in"),
    [
        ((), ("read",), False),
        (("read",), ("read",), True),
        (("read", "write"), ("read",), True),
        (("read",), ("read", "write"), False),
        (("reader",), ("read",), False),
        ((), (), True),
    ],
)
async def test_a_route_may_want_scopes_and_then_all_of_them(
    scopes: tuple[str, ...], wanted: tuple[str, ...], is_let_in: bool
) -> None:
    keys = Keys()
    key, cache = keys.add(scopes=scopes), KeyCache(keys.lookup)
    guard = require_any([ApiKeyMethod("acme", BY_HEADER, cache, lambda: NOW_S)], scopes=wanted)
    for _ in range(2):  # looked up, and then known
        ctx = context("/", ("X-API-Key", key.text))
        if is_let_in:
            waiting = guard(ctx)
            assert waiting is None or await waiting is None
            continue
        with pytest.raises(EdgeError) as caught:
            await (guard(ctx) or asyncio.sleep(0))
        assert (caught.value.status, caught.value.code, caught.value.headers) == (403, "forbidden", ())
        assert ctx.identity is not None  # for the log


async def test_who_lacks_a_scope_is_told_which_would_do_where_tokens_are_taken() -> None:
    keys = Keys()
    methods = [ApiKeyMethod("acme", BY_HEADER, KeyCache(keys.lookup), lambda: NOW_S)]
    methods[0].challenge = 'Bearer realm="acme"'  # as those that take tokens have it
    ctx = context("/", ("X-API-Key", keys.add().text))
    with pytest.raises(EdgeError) as caught:
        await (require_any(methods, scopes=("read", "write"))(ctx) or asyncio.sleep(0))
    assert caught.value.headers == (("WWW-Authenticate", 'Bearer error="insufficient_scope", scope="read write"'),)


async def test_who_is_not_known_gets_a_401_whatever_scopes_a_route_wants() -> None:
    guard = require_any([ApiKeyMethod("acme", BY_HEADER, KeyCache(Keys().lookup))], scopes=("read",))
    with pytest.raises(EdgeError) as caught:
        await (guard(context()) or asyncio.sleep(0))
    assert caught.value.status == 401
