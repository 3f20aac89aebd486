"""Sessions ended by the admin API, and secrets of documents that it never shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import redis

from store.client import connect
from store.sealing import Sealer
from store.sessions import Kept, Sessions, new_session_id
from tests.tenants.plane import Plane, document, running_plane

SESSIONS = "/v1/tenants/acme/sessions"
SECRET = "s3cret-of-acmes-client"


@pytest_asyncio.fixture
async def sessions(acme: Plane) -> AsyncIterator[Sessions]:
    async with connect(acme.redis_url, "control") as client:
        yield Sessions(client, Sealer([b"k" * 32]))


async def begin(sessions: Sessions, subject: str, tenant: str = "acme") -> str:
    session_id = new_session_id()
    await sessions.put(tenant, session_id, Kept(subject, {}), 60)
    return session_id


async def test_the_sessions_of_a_subject_end_with_a_revision_that_leaves_the_document(
    acme: Plane, sessions: Sessions
) -> None:
    ann, bob = await begin(sessions, "auth0|ann/x"), await begin(sessions, "bob")
    etag = (await acme.get("/v1/tenants/acme")).headers["ETag"]
    answer = await acme.ask("DELETE", f"{SESSIONS}/auth0%7Cann%2Fx?wait=fleet")
    assert answer.status == 200
    assert answer.body["subject"] == "auth0|ann/x"
    assert answer.body["revision"] > int(etag.strip('"'))
    assert answer.body["workers"] == 0
    assert (await acme.get("/v1/tenants/acme")).headers["ETag"] == etag
    assert await sessions.get("acme", ann, 60) is None
    assert await sessions.get("acme", bob, 60)


async def test_all_sessions_of_a_tenant_end_and_the_audit_trail_says_who_did_it(
    acme: Plane, sessions: Sessions
) -> None:
    mine, other = await begin(sessions, "ann"), await begin(sessions, "ann", "other")
    answer = await acme.ask("DELETE", SESSIONS)
    assert (answer.status, answer.body["subject"]) == (200, None)
    assert await sessions.get("acme", mine, 60) is None
    assert await sessions.get("other", other, 60)
    entry = (await acme.get("/v1/audit?limit=1")).body["items"][0]
    assert (entry["action"], entry["tenant"], entry["actor"]) == ("session.revoke", "acme", "operator:bootstrap")


async def test_a_tenants_token_ends_its_own_and_no_others(acme: Plane, sessions: Sessions) -> None:
    await acme.put("other")
    token = await acme.token_of("acme")
    theirs = await begin(sessions, "ann", "other")
    assert (await acme.ask("DELETE", SESSIONS, token=token)).status == 200
    assert (await acme.ask("DELETE", "/v1/tenants/other/sessions", token=token)).status == 404
    assert (await acme.ask("DELETE", "/v1/tenants/none/sessions")).status == 404
    assert (await acme.ask("DELETE", f"{SESSIONS}/{'x' * 1025}")).status == 422
    assert await sessions.get("other", theirs, 60)


async def test_whoever_takes_a_deleted_tenants_name_does_not_find_its_sessions(acme: Plane, sessions: Sessions) -> None:
    ann = await begin(sessions, "ann")
    assert (await acme.ask("DELETE", "/v1/tenants/acme")).status == 200
    await acme.put("acme")
    assert await sessions.get("acme", ann, 60) is None


def with_provider(secret: str) -> dict[str, Any]:
    own = {"issuer": "https://id.acme.com/", "client_id": "shop", "client_secret": secret}
    return document(auth={"login": {"type": "session", **own}})


async def test_a_client_secret_is_nowhere_to_be_seen_once_it_is_written(
    acme: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    dry = await acme.ask("PUT", "/v1/tenants/acme?dry_run=true", with_provider(SECRET))
    assert (dry.status, dry.body["changed"]) == (200, True)
    written = await acme.ask("PUT", "/v1/tenants/acme", with_provider(SECRET))
    assert written.status == 200
    shown = await acme.get("/v1/tenants/acme")
    assert shown.body["auth"]["login"]["client_secret"].startswith("sealed:v1:")
    patched = await acme.ask("PATCH", "/v1/tenants/acme?dry_run=true", {"name": "Other"})
    pages = [dry, written, shown, patched]
    pages += [await acme.get(path) for path in ("/v1/tenants", "/v1/audit", "/v1/tenants/acme/revisions")]
    assert not [page for page in pages if SECRET in str(page.body)]
    assert SECRET not in caplog.text
    with redis.Redis.from_url(acme.redis_url) as raw:
        assert not [name for name in raw.scan_iter() if SECRET.encode() in (raw.dump(name) or b"")]


async def test_what_was_exported_is_written_again_without_a_revision_and_so_is_the_secret_itself(acme: Plane) -> None:
    first = await acme.ask("PUT", "/v1/tenants/acme", with_provider(SECRET))
    exported = (await acme.get("/v1/tenants/acme")).body
    for again in (exported, with_provider(SECRET)):
        answer = await acme.ask("PUT", "/v1/tenants/acme", again)
        assert (answer.status, answer.body["changed"], answer.body["revision"]) == (200, False, first.body["revision"])
    changed = await acme.ask("PUT", "/v1/tenants/acme", with_provider("another"))
    back = await acme.ask("POST", "/v1/tenants/acme/rollback", {"revision": first.body["revision"]})
    assert (changed.body["changed"], back.status) == (True, 200)
    assert (await acme.get("/v1/tenants/acme")).body == exported


async def test_a_sealed_secret_moved_to_another_tenant_is_refused(acme: Plane) -> None:
    await acme.ask("PUT", "/v1/tenants/acme", with_provider(SECRET))
    stolen = (await acme.get("/v1/tenants/acme")).body["auth"]["login"]["client_secret"]
    answer = await acme.ask("PUT", "/v1/tenants/other", with_provider(stolen))
    assert (answer.status, answer.paths) == (422, ["auth.login.client_secret"])


async def test_without_a_secret_key_a_client_secret_is_refused_and_all_else_is_not(redis_url: str) -> None:
    async with running_plane(redis_url, secret_key="") as plane:
        answer = await plane.ask("PUT", "/v1/tenants/acme", with_provider(SECRET))
        assert (answer.status, answer.paths) == (422, ["auth.login.client_secret"])
        assert "PORTICO_SECRET_KEY" in answer.body["errors"][0]["message"]
        assert SECRET not in str(answer.body)
        await plane.put("acme", auth={"login": {"type": "session"}})
