"""Bad input: the right status, one clear problem document, and nothing written."""

from __future__ import annotations

import asyncio
import random
from urllib.parse import urlsplit

import pytest

from tenants.api.app import OPERATIONS
from tenants.api.bodies import MAX_BODY_BYTES
from tests.tenants.plane import OPERATOR, Plane, document

ACME = "/v1/tenants/acme"


@pytest.mark.parametrize(
    ("method", "path", "raw", "status", "code"),
    [
        ("PUT", ACME, b"", 400, "not_json"),
        ("PUT", ACME, b"tenant: acme\n", 400, "not_json"),
        ("PUT", ACME, b"\xff\xff", 400, "not_json"),
        ("PUT", ACME, b'{"name": NaN}', 400, "not_json"),
        ("PUT", ACME, b'{"name": "a", "name": "b"}', 400, "malformed_request"),
        ("PUT", ACME, b"[" * 100_000 + b"]" * 100_000, 400, "malformed_request"),
        ("PUT", ACME, b'{"name": "\\ud800"}', 400, "malformed_request"),
        ("PUT", ACME, b"[]", 422, "invalid"),
        ("PUT", ACME, b"null", 422, "invalid"),
        ("PUT", ACME, b'"acme"', 422, "invalid"),
        ("PUT", ACME, b'{"unknown": 1}', 422, "invalid"),
        ("PUT", ACME, b'{"routes": 5}', 422, "invalid"),
        ("PUT", ACME, b'{"name": "' + b"x" * MAX_BODY_BYTES + b'"}', 413, "too_large"),
        ("PUT", "/v1/tenants/Not_A_Slug", b"{}", 422, "invalid"),
        ("PUT", "/v1/tenants/" + "a" * 64, b"{}", 422, "invalid"),
        ("PUT", "/v1/tenants/a%00b", b"{}", 422, "invalid"),
        ("PATCH", ACME, b"[]", 422, "invalid"),
        ("PATCH", ACME, b'{"routes": 5}', 422, "invalid"),
        ("PATCH", ACME, b"not json", 400, "not_json"),
        ("POST", f"{ACME}/domains", b"{}", 422, "invalid"),
        ("POST", f"{ACME}/domains", b'{"host": 5}', 422, "invalid"),
        ("POST", f"{ACME}/domains", b'{"host": "a.test", "verified_by": "me"}', 422, "invalid"),
        ("POST", f"{ACME}/domains", b"[]", 422, "invalid"),
        ("POST", f"{ACME}/rollback", b'{"revision": "1"}', 422, "invalid"),
        ("POST", f"{ACME}/rollback", b'{"revision": 1.5}', 422, "invalid"),
        ("POST", f"{ACME}/rollback", b'{"revision": 1e30}', 422, "invalid"),
        ("POST", f"{ACME}/rollback", b'{"revision": 99999999999999999999999}', 404, "not_found"),
        ("POST", "/v1/tokens", b'{"name": "x", "kind": "operator", "hash": ""}', 422, "invalid"),
    ],
)
async def test_a_bad_body(acme: Plane, method: str, path: str, raw: bytes, status: int, code: str) -> None:
    head = await acme.catalog.head()
    refused = await acme.ask(method, path, data=raw, headers={"Content-Type": "application/json"})
    assert (refused.status, refused.body["code"]) == (status, code)
    assert refused.body["status"] == status
    assert refused.body["type"] == f"/v1/docs#{code}"
    assert refused.body["title"]
    assert refused.body["detail"]
    assert refused.headers["Content-Type"].startswith("application/problem+json")
    assert await acme.catalog.head() == head


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/tenants?limit=0"),
        ("GET", "/v1/tenants?limit=1000"),
        ("GET", "/v1/tenants?limit=many"),
        ("GET", "/v1/tenants?limit=1&limit=2"),
        ("GET", "/v1/tenants?page=2"),
        ("GET", f"{ACME}?dry_run=true"),
        ("GET", "/v1/audit?cursor=nonsense"),
        ("GET", "/v1/tokens?cursor=nonsense"),
        ("GET", f"{ACME}/keys?cursor=nonsense"),
        ("DELETE", f"{ACME}?dry_run=maybe"),
        ("DELETE", f"{ACME}?dryrun=true"),
        ("DELETE", f"{ACME}?wait=everybody"),
        ("DELETE", f"{ACME}?wait=fleet&timeout=soon"),
        ("DELETE", f"{ACME}?wait=fleet&timeout=-1s"),
        ("DELETE", f"{ACME}?wait=fleet&timeout=1h"),
        ("DELETE", f"{ACME}?timeout=1s"),
        ("DELETE", f"{ACME}/keys/x?dry_run=true"),
    ],
)
async def test_a_query_that_would_be_ignored_or_misread_is_refused(acme: Plane, method: str, path: str) -> None:
    head = await acme.catalog.head()
    refused = await acme.ask(method, path)
    assert (refused.status, refused.body["code"]) == (400, "malformed_request")
    assert await acme.catalog.head() == head


async def test_a_misspelt_parameter_is_named_with_what_was_meant(acme: Plane) -> None:
    refused = await acme.ask("DELETE", f"{ACME}?dry_rn=true")
    assert refused.paths == ["dry_rn"]
    assert "did you mean 'dry_run'" in refused.body["errors"][0]["message"]


@pytest.mark.parametrize("header", ["nonsense", '"1', ""])
async def test_an_if_match_that_cannot_be_read_is_400(acme: Plane, header: str) -> None:
    assert (await acme.ask("DELETE", ACME, headers={"If-Match": header})).status == 400


async def test_if_match_where_it_would_mean_nothing_is_400(acme: Plane) -> None:
    refused = await acme.ask("POST", f"{ACME}/keys", {"name": "k"}, headers={"If-Match": '"1"'})
    assert refused.status == 400
    assert (await acme.get(f"{ACME}/keys")).body["items"] == []


async def test_a_json_patch_is_not_taken_for_a_merge_patch(acme: Plane) -> None:
    refused = await acme.ask(
        "PATCH", ACME, data=b'{"op": "remove"}', headers={"Content-Type": "application/json-patch+json"}
    )
    assert (refused.status, refused.body["code"]) == (415, "wrong_media_type")


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v2/tenants", f"{ACME}/", f"{ACME}/routes", "/v1/tenants/a/b/c/d"]
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_an_unknown_path_is_a_404_problem(acme: Plane, method: str, path: str) -> None:
    refused = await acme.ask(method, path)
    assert (refused.status, refused.body["code"]) == (404, "not_found")


async def test_the_wrong_method_is_405_with_an_exact_allow(acme: Plane) -> None:
    methods: dict[str, set[str]] = {}
    for operation in OPERATIONS:
        methods.setdefault(operation.path, set()).add(operation.method)
    for path, known in methods.items():
        allowed = known | ({"HEAD"} if "GET" in known else set())
        concrete = path.format(tenant="acme", host="a.test", id="x", subject="x")
        for method in {"GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE"} - allowed:
            refused = await acme.ask(method, concrete)
            assert refused.status == 405, (method, path)
            assert refused.body["code"] == "method_not_allowed"
            assert set(refused.headers["Allow"].split(", ")) == allowed


async def test_head_answers_as_get_without_a_body(acme: Plane) -> None:
    answer = await acme.ask("HEAD", ACME)
    assert (answer.status, answer.body) == (200, None)
    assert answer.headers["ETag"] == (await acme.get(ACME)).headers["ETag"]


async def test_answers_are_not_cached_and_do_not_name_the_server(acme: Plane) -> None:
    for path in (ACME, "/v1/tenants/none", "/nowhere", "/v1/docs"):
        answer = await acme.get(path)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "portico"


async def test_a_document_just_within_the_limit_is_taken(plane: Plane) -> None:
    routes = [{"name": f"r{number}", "path": f"/{'x' * 200}/{number}", "upstream": "shop"} for number in range(900)]
    answer = await plane.ask("PUT", ACME, document(routes=routes))
    assert answer.status == 201
    assert len((await plane.get(ACME)).body["routes"]) == 900


async def test_a_body_that_never_comes_is_408(acme: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenants.api.endpoint.BODY_TIMEOUT_S", 0.05)
    parts = urlsplit(acme.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"PUT {ACME} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR}\r\nContent-Length: 50\r\n\r\n"
    writer.write(head.encode() + b'{"name":')
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")
    writer.close()
    await writer.wait_closed()


async def test_a_chunked_body_over_the_limit_is_413_before_it_ends(acme: Plane) -> None:
    parts = urlsplit(acme.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    head = f"PUT {ACME} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR}\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head.encode() + f"{MAX_BODY_BYTES + 1:x}\r\n".encode() + b"x" * (MAX_BODY_BYTES + 1) + b"\r\n")
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    writer.close()
    await writer.wait_closed()


PATHS = (
    b"/v1/tenants/%s", b"/v1/tenants/acme/domains/%s", b"/v1/tenants/%s/domains/x/verify", b"/v1/tenants/acme/keys/%s",
    b"/v1/tokens/%s", b"/v1/tenants?cursor=%s", b"/v1/tenants/acme/keys?cursor=%s", b"/v1/audit?cursor=%s",
    b"/v1/tenants?limit=%s", b"/v1/tenants/acme?wait=fleet&timeout=%s", b"/v1/tenants/%s/rollback", b"/%s",
)  # fmt: skip
PIECES = (
    b"acme", b"%ff", b"\xff", b"%00", b"%ed%a0%80",
    b"%2f", b"%2e%2e", b"..", b"*", b"a" * 3000, b"\xc3\xbc", b"%c3%bc",
    b"{}", b"[::1]", b"%0d%0a", b"%", b"%zz", b"xn--", b"a.test:80", b"1-1",
)  # fmt: skip
RAW_BODIES = (
    b"", b"{}", b'{"host": "\\u0000"}',
    b'{"name": "\\u0000", "tenant": "\\u0000"}', b'{"revision": 1}',
    b'{"tenant": 5}',
    b'{"domains": [1, null, {}, [], {"host": null}]}',
    b'{"routes": [{"name": "x", "path": "/{a:[}", "upstream": "x"}]}',
    b'{"auth": {"k": {"type": "jwt"}}, "limits": {"x": {"quota": "1/month", "by": {"claim": "x"}}}}',
)  # fmt: skip
FIELDS = (b"", b"If-Match: \xff\r\n", b'If-Match: "99999999999999999999"\r\n', b"If-None-Match: *\r\n")
TOKENS = (*[OPERATOR.encode()] * 6, b"\xff\xfe", b"\xc3\xbc")


async def test_no_request_however_odd_is_our_own_fault(acme: Plane) -> None:
    chance = random.Random(2026)
    for _ in range(400):
        method = chance.choice((b"GET", b"PUT", b"PATCH", b"POST", b"DELETE"))
        pattern, body = chance.choice(PATHS), chance.choice(RAW_BODIES)
        path = pattern.replace(b"%s", chance.choice(PIECES))
        head = b"%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n" % (
            method, path, chance.choice(TOKENS),
        )  # fmt: skip
        status = await _status_of(acme, head + chance.choice(FIELDS), body)
        assert 200 <= status < 500, (method, path, body, status)


async def _status_of(plane: Plane, head: bytes, body: bytes) -> int:
    parts = urlsplit(plane.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1])
