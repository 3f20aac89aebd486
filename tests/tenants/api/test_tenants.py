"""Whole documents over HTTP: written, read, patched, deleted; nothing lost on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.tenants.plane import Plane, document


async def test_a_document_is_read_as_it_was_written_and_its_etag_is_its_revision(plane: Plane) -> None:
    written = await plane.ask("PUT", "/v1/tenants/acme", document(domains=["shop.acme.com"]))
    assert written.status == 201
    assert written.headers["Location"] == "/v1/tenants/acme"
    assert written.body["created"] is True
    assert written.body["changed"] is True
    assert written.headers["ETag"] == f'"{written.body["revision"]}"'

    read = await plane.get("/v1/tenants/acme")
    assert read.status == 200
    assert read.headers["ETag"] == written.headers["ETag"]
    assert read.body == {"tenant": "acme", **document(domains=["shop.acme.com"])}


async def test_a_reader_who_has_the_revision_is_answered_304(acme: Plane) -> None:
    etag = (await acme.get("/v1/tenants/acme")).headers["ETag"]
    again = await acme.get("/v1/tenants/acme", headers={"If-None-Match": etag})
    assert (again.status, again.body, again.headers["ETag"]) == (304, None, etag)


async def test_writing_what_is_there_already_makes_no_revision(acme: Plane) -> None:
    first = await acme.get("/v1/tenants/acme")
    again = await acme.put("acme")
    assert again.body["changed"] is False
    assert again.headers["ETag"] == first.headers["ETag"]
    assert len((await acme.get("/v1/tenants/acme/revisions")).body["items"]) == 1


async def test_the_tenant_is_the_paths_and_a_body_that_names_another_is_refused(plane: Plane) -> None:
    refused = await plane.ask("PUT", "/v1/tenants/acme", document(tenant="other"))
    assert refused.status == 422
    assert refused.paths == ["tenant"]
    assert (await plane.get("/v1/tenants")).body["items"] == []
    assert (await plane.ask("PUT", "/v1/tenants/acme", document(tenant="acme"))).status == 201
    patched = await plane.ask("PATCH", "/v1/tenants/acme", {"tenant": "other"})
    assert (patched.status, patched.paths) == (422, ["tenant"])


async def test_every_fault_of_a_document_is_listed_with_its_path(plane: Plane) -> None:
    wrong = document(
        enabled="yes",
        nmae="Acme",
        routes=[
            {"name": "all", "path": "/*", "upstream": "shopp"},
            {"name": "b", "path": "nowhere", "upstream": "shop"},
        ],
    )
    refused = await plane.ask("PUT", "/v1/tenants/acme", wrong)
    assert refused.status == 422
    assert refused.headers["Content-Type"].startswith("application/problem+json")
    assert {"enabled", "nmae", "routes[0].upstream", "routes[1].path"} <= set(refused.paths)
    assert any("did you mean 'shop'" in fault["message"] for fault in refused.body["errors"])
    assert (await plane.get("/v1/tenants/acme")).status == 404


async def test_a_patch_merges_and_null_removes(acme: Plane) -> None:
    patched = await acme.ask("PATCH", "/v1/tenants/acme", {"name": None, "enabled": False})
    assert patched.status == 200
    read = (await acme.get("/v1/tenants/acme")).body
    assert read["enabled"] is False
    assert "name" not in read
    assert read["routes"] == document()["routes"]


async def test_a_patch_of_what_is_not_there_is_404_and_creates_nothing(plane: Plane) -> None:
    assert (await plane.ask("PATCH", "/v1/tenants/acme", {"name": "x"})).status == 404
    assert (await plane.get("/v1/tenants")).body["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "", document(name="late")),
        ("PATCH", "", {"name": "late"}),
        ("DELETE", "", None),
        ("POST", "/rollback", {"revision": 1}),
        ("POST", "/domains", {"host": "late.test"}),
        ("DELETE", "/domains/a.test", None),
        ("POST", "/domains/a.test/verify", None),
    ],
)
async def test_a_stale_if_match_is_412_and_changes_nothing(plane: Plane, method: str, path: str, body: object) -> None:
    stale = (await plane.put("acme", domains=["a.test"])).headers["ETag"]
    fresh = (await plane.put("acme", domains=["a.test", "b.test"])).headers["ETag"]
    refused = await plane.ask(method, f"/v1/tenants/acme{path}", body, headers={"If-Match": stale})
    assert (refused.status, refused.body["code"]) == (412, "precondition_failed")
    assert (await plane.get("/v1/tenants/acme")).headers["ETag"] == fresh
    assert (await plane.ask(method, f"/v1/tenants/acme{path}", body, headers={"If-Match": fresh})).status < 300


async def test_if_none_match_star_creates_and_never_overwrites(plane: Plane) -> None:
    only_new = {"If-None-Match": "*"}
    assert (await plane.ask("PUT", "/v1/tenants/acme", document(), headers=only_new)).status == 201
    assert (await plane.ask("PUT", "/v1/tenants/acme", document(name="x"), headers=only_new)).status == 412
    assert (await plane.get("/v1/tenants/acme")).body["name"] == "Acme Inc."


async def test_if_match_star_overwrites_and_never_creates(plane: Plane) -> None:
    only_old = {"If-Match": "*"}
    assert (await plane.ask("PUT", "/v1/tenants/acme", document(), headers=only_old)).status == 412
    await plane.put("acme")
    assert (await plane.ask("PUT", "/v1/tenants/acme", document(name="x"), headers=only_old)).status == 200


async def test_thirty_patches_at_once_are_all_in_the_document(acme: Plane) -> None:
    patches = [{"limits": {f"limit-{number}": {"rate": "1/s", "by": "ip"}}} for number in range(30)]
    answers = await asyncio.gather(*(acme.ask("PATCH", "/v1/tenants/acme", patch) for patch in patches))
    assert [answer.status for answer in answers] == [200] * 30
    assert len({answer.body["revision"] for answer in answers}) == 30
    assert len((await acme.get("/v1/tenants/acme")).body["limits"]) == 30


async def test_of_many_writers_with_one_etag_exactly_one_wins(acme: Plane) -> None:
    etag = (await acme.get("/v1/tenants/acme")).headers["ETag"]
    answers = await asyncio.gather(
        *(
            acme.ask("PUT", "/v1/tenants/acme", document(name=f"writer {number}"), headers={"If-Match": etag})
            for number in range(8)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7


async def test_a_dry_run_checks_and_says_what_would_change_and_writes_nothing(acme: Plane) -> None:
    before = await acme.get("/v1/tenants/acme")
    routes = [{"name": "first", "path": "/first", "upstream": "shop"}, *document()["routes"]]
    rehearsed = await acme.ask("PUT", "/v1/tenants/acme?dry_run=true", document(name="New", routes=routes))
    assert rehearsed.status == 200
    assert rehearsed.body["dry_run"] is True
    assert rehearsed.body["changed"] is True
    assert {(one["path"], one["verb"]) for one in rehearsed.body["diff"]} == {
        ("name", "changed"),
        ("routes[first]", "added"),
    }
    after = await acme.get("/v1/tenants/acme")
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])
    refused = await acme.ask("PUT", "/v1/tenants/acme?dry_run=true", document(routes=[{"name": "x"}]))
    assert refused.status == 422


async def test_a_dry_run_of_a_new_tenant_and_of_a_deletion_write_nothing(acme: Plane) -> None:
    created = await acme.ask("PUT", "/v1/tenants/beta?dry_run=true", document())
    assert (created.status, created.body["created"]) == (200, True)
    deleted = await acme.ask("DELETE", "/v1/tenants/acme?dry_run=true")
    assert deleted.status == 200
    assert {one["verb"] for one in deleted.body["diff"]} == {"removed"}
    listed = (await acme.get("/v1/tenants")).body["items"]
    assert [item["tenant"] for item in listed] == ["acme"]


async def test_a_dry_run_meets_the_claims_of_others_as_a_write_does(acme: Plane) -> None:
    await acme.put("acme", domains=["taken.test"])
    for query in ("?dry_run=true", ""):
        refused = await acme.ask("PUT", f"/v1/tenants/beta{query}", document(domains=["taken.test", "free.test"]))
        assert (refused.status, refused.body["code"]) == (409, "domain_claimed")
        assert "taken.test" in refused.body["detail"]
        assert "free.test" not in refused.body["detail"]
        assert "acme" not in str(refused.body)
    assert (await acme.get("/v1/tenants/beta")).status == 404


async def test_of_two_tenants_racing_for_one_domain_exactly_one_wins(plane: Plane) -> None:
    for round_ in range(10):
        host = f"prize-{round_}.test"
        answers = await asyncio.gather(
            *(plane.ask("PUT", f"/v1/tenants/{name}-{round_}", document(domains=[host])) for name in ("a", "b"))
        )
        assert sorted(answer.status for answer in answers) == [201, 409]


async def test_a_deleted_tenant_leaves_no_document_host_key_or_token_behind(plane: Plane) -> None:
    await plane.put("acme", domains=["shop.acme.com"])
    token = await plane.token_of("acme")
    assert (await plane.ask("POST", "/v1/tenants/acme/keys", {"name": "k"})).status == 201
    assert (await plane.ask("DELETE", "/v1/tenants/acme")).status == 200
    assert (await plane.get("/v1/tenants/acme")).status == 404
    assert (await plane.get("/v1/tenants/acme", token=token)).status == 401
    await plane.put("beta", domains=["shop.acme.com"])
    await plane.put("acme")
    assert (await plane.get("/v1/tenants/acme/keys")).body["items"] == []
    assert len((await plane.get("/v1/tenants/acme/revisions")).body["items"]) == 1
    assert (await plane.ask("DELETE", "/v1/tenants/gone")).status == 404


async def test_the_list_is_paged_in_order_of_name(plane: Plane) -> None:
    for number in range(7):
        await plane.put(f"t{number}")
    seen: list[Any] = []
    cursor: str | None = None
    while True:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await plane.get("/v1/tenants", params=query)).body
        assert len(page["items"]) <= 3
        seen += page["items"]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert [item["tenant"] for item in seen] == [f"t{number}" for number in range(7)]
    assert seen[0]["document"] == {"tenant": "t0", **document()}


async def test_a_rollback_is_a_new_revision_equal_to_the_old_one(plane: Plane) -> None:
    first = (await plane.put("acme", domains=["old.test"])).body["revision"]
    await plane.put("acme", domains=["new.test"], name="Changed")
    rolled = await plane.ask("POST", "/v1/tenants/acme/rollback", {"revision": first})
    assert rolled.status == 200
    assert rolled.body["revision"] > first + 1
    assert (await plane.get("/v1/tenants/acme")).body == {"tenant": "acme", **document(domains=["old.test"])}
    history = (await plane.get("/v1/tenants/acme/revisions")).body["items"]
    assert [item["action"] for item in history] == ["tenant.rollback", "tenant.put", "tenant.put"]
    assert all(item["actor"] == "operator:bootstrap" for item in history)


async def test_a_rollback_does_not_take_a_host_from_who_has_it_now(plane: Plane) -> None:
    first = (await plane.put("acme", domains=["moved.test"])).body["revision"]
    await plane.put("acme")
    await plane.put("beta", domains=["moved.test"])
    refused = await plane.ask("POST", "/v1/tenants/acme/rollback", {"revision": first})
    assert (refused.status, refused.body["code"]) == (409, "domain_claimed")
    assert (await plane.get("/v1/tenants/acme")).body == {"tenant": "acme", **document()}


async def test_a_rollback_to_what_is_not_kept_is_404(acme: Plane) -> None:
    assert (await acme.ask("POST", "/v1/tenants/acme/rollback", {"revision": 99})).status == 404
    assert (await acme.ask("POST", "/v1/tenants/none/rollback", {"revision": 1})).status == 404
    assert (await acme.ask("POST", "/v1/tenants/acme/rollback", {"revision": 0})).status == 422


async def test_an_operators_rollback_restores_a_host_as_verified_and_a_tenants_does_not(plane: Plane) -> None:
    await plane.put("acme", domains=["a.test"])
    verified = await plane.ask("POST", "/v1/tenants/acme/domains/a.test/verify")
    good = verified.body["revision"]
    token = await plane.token_of("acme")

    await plane.put("acme")
    rolled = await plane.ask("POST", "/v1/tenants/acme/rollback", {"revision": good}, token=token)
    assert rolled.status == 200
    assert (await plane.get("/v1/tenants/acme/domains/a.test")).body["state"] == "pending"

    await plane.put("acme")
    assert (await plane.ask("POST", "/v1/tenants/acme/rollback", {"revision": good})).status == 200
    assert (await plane.get("/v1/tenants/acme/domains/a.test")).body["state"] == "verified"
