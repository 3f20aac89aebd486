"""API keys and admin tokens: shown once, kept as hashes."""

from __future__ import annotations

import asyncio
import re

import redis

from store.secrets import hash_secret, parse_api_key, parse_token
from tenants.service import unix_ms
from tests.tenants.plane import OPERATOR, Plane


async def test_a_key_is_shown_once_and_only_its_hash_is_kept(acme: Plane) -> None:
    created = await acme.ask("POST", "/v1/tenants/acme/keys", {"name": "ci", "scopes": ["b", "a"], "expires_in": "1d"})
    assert created.status == 201
    secret = created.body["secret"]
    parsed = parse_api_key(secret)
    assert parsed is not None
    assert parsed.id == created.body["id"]
    assert created.body["scopes"] == ["a", "b"]

    record = await acme.catalog.get_key("acme", parsed.id)
    assert record is not None
    assert record.hash == hash_secret(secret)
    assert record.expires_at_ms is not None
    assert abs(record.expires_at_ms - unix_ms() - 86_400_000) < 10_000
    for path in (f"/v1/tenants/acme/keys/{parsed.id}", "/v1/tenants/acme/keys", "/v1/audit", "/v1/tenants/acme"):
        answer = await acme.get(path)
        assert answer.status == 200
        assert secret[-20:] not in str(answer.body)
    assert_nowhere_in_redis(acme.redis_url, secret[-20:])


async def test_a_key_made_or_revoked_is_a_revision_of_its_own_and_leaves_the_document(acme: Plane) -> None:
    etag = (await acme.get("/v1/tenants/acme")).headers["ETag"]
    created = await acme.ask("POST", "/v1/tenants/acme/keys", {"name": "ci"})
    removed = await acme.ask("DELETE", f"/v1/tenants/acme/keys/{created.body['id']}")
    assert removed.status == 200
    assert removed.body["revision"] > created.body["revision"] > int(etag.strip('"'))
    assert (await acme.get("/v1/tenants/acme")).headers["ETag"] == etag
    assert (await acme.get(f"/v1/tenants/acme/keys/{created.body['id']}")).status == 404
    assert (await acme.ask("DELETE", f"/v1/tenants/acme/keys/{created.body['id']}")).status == 404


async def test_a_key_tells_when_it_was_last_used(acme: Plane) -> None:
    used, unused = [(await acme.ask("POST", "/v1/tenants/acme/keys", {"name": name})).body for name in ("a", "b")]
    assert used["last_used_at"] is None
    await acme.catalog.note_used({"acme": [used["id"]]})
    listed = {item["id"]: item["last_used_at"] for item in (await acme.get("/v1/tenants/acme/keys")).body["items"]}
    assert listed[unused["id"]] is None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00\.000Z", listed[used["id"]])
    assert (await acme.get(f"/v1/tenants/acme/keys/{used['id']}")).body["last_used_at"] == listed[used["id"]]


async def test_keys_are_listed_oldest_first_by_pages(acme: Plane) -> None:
    ids = [
        (await acme.ask("POST", "/v1/tenants/acme/keys", {"name": f"key {number}"})).body["id"] for number in range(5)
    ]
    first = (await acme.get("/v1/tenants/acme/keys?limit=3")).body
    second = (await acme.get("/v1/tenants/acme/keys", params={"limit": "3", "cursor": first["cursor"]})).body
    assert len(first["items"]) == 3
    assert second["cursor"] is None
    assert {item["id"] for item in first["items"] + second["items"]} == set(ids)


async def test_keys_of_a_tenant_that_is_not_there_are_404(plane: Plane) -> None:
    assert (await plane.get("/v1/tenants/none/keys")).status == 404
    assert (await plane.ask("POST", "/v1/tenants/none/keys", {"name": "x"})).status == 404
    assert (await plane.ask("DELETE", "/v1/tenants/none/keys/x")).status == 404


async def test_what_is_wrong_with_a_new_key_is_named(acme: Plane) -> None:
    cases = [
        ({}, "name"),
        ({"name": 5}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "expires_in": "soon"}, "expires_in"),
        ({"name": "x", "expires_in": "1d", "expires_at": "2030-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "x", "scopes": ["ok", "not ok"]}, "scopes[1]"),
        ({"name": "x", "scopes": "ok"}, "scopes"),
        ({"name": "x", "nmae": "y"}, "nmae"),
        ({"name": "x", "id": "chosen"}, "id"),
        ({"name": "x", "tenant": "beta"}, "tenant"),
    ]
    for body, path in cases:
        refused = await acme.ask("POST", "/v1/tenants/acme/keys", body)
        assert (refused.status, refused.paths) == (422, [path]), body
    assert (await acme.get("/v1/tenants/acme/keys")).body["items"] == []


async def test_a_tenants_token_reaches_its_tenant_and_ends_when_revoked(acme: Plane) -> None:
    created = await acme.ask("POST", "/v1/tokens", {"name": "ci", "tenant": "acme"})
    assert created.status == 201
    assert created.body["kind"] == "tenant"
    token = created.body["secret"]
    assert parse_token(token) is not None
    assert (await acme.get("/v1/tenants/acme", token=token)).status == 200
    assert_nowhere_in_redis(acme.redis_url, token[-20:])
    shown = (await acme.get(f"/v1/tokens/{created.body['id']}")).body
    assert shown["tenant"] == "acme"
    assert "secret" not in shown
    assert (await acme.ask("DELETE", f"/v1/tokens/{created.body['id']}")).status == 200
    assert (await acme.get("/v1/tenants/acme", token=token)).status == 401
    assert (await acme.ask("DELETE", f"/v1/tokens/{created.body['id']}")).status == 404


async def test_an_operators_token_reaches_everything_and_an_expired_one_nothing(acme: Plane) -> None:
    operator = await acme.ask("POST", "/v1/tokens", {"name": "second", "kind": "operator"})
    assert (await acme.get("/v1/audit", token=operator.body["secret"])).status == 200
    brief = await acme.ask("POST", "/v1/tokens", {"name": "brief", "kind": "operator", "expires_in": "1ms"})
    await asyncio.sleep(0.01)  # the one thing waited for is time itself
    refused = await acme.get("/v1/audit", token=brief.body["secret"])
    assert (refused.status, "expired" in refused.body["detail"]) == (401, True)
    listed = (await acme.get("/v1/tokens")).body["items"]
    assert [item["expired"] for item in listed] == [False, True]


async def test_what_is_wrong_with_a_new_token_is_named(acme: Plane) -> None:
    cases = [
        ({"name": "x"}, 422, ["tenant"]),
        ({"name": "x", "kind": "operator", "tenant": "acme"}, 422, ["tenant"]),
        ({"name": "x", "kind": "admin"}, 422, ["kind"]),
        ({"kind": "operator"}, 422, ["name"]),
        ({"name": "x", "tenant": "none"}, 404, []),
    ]
    for body, status, paths in cases:
        refused = await acme.ask("POST", "/v1/tokens", body)
        assert (refused.status, refused.paths) == (status, paths), body
    assert (await acme.get("/v1/tokens")).body["items"] == []


async def test_the_bootstrap_token_is_stored_nowhere(acme: Plane) -> None:
    await acme.ask("POST", "/v1/tokens", {"name": "x", "tenant": "acme"})
    assert_nowhere_in_redis(acme.redis_url, OPERATOR)


def assert_nowhere_in_redis(redis_url: str, secret: str) -> None:
    """Look into every value of every key."""
    with redis.Redis.from_url(redis_url) as client:
        dumped = [client.dump(key) for key in client.scan_iter()]
    assert dumped
    assert all(isinstance(value, bytes) and secret.encode() not in value for value in dumped)
