"""The plans over HTTP: written, read and rolled back as a whole; none dropped with tenants on it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tenants.plane import Answer, Plane, document

RATE = {"per-key": {"rate": "10/s", "by": "key"}}
PLANS: dict[str, Any] = {"plans": {"default": {"limits": RATE}, "gold": {}}}


async def put_plans(plane: Plane, *names: str, query: str = "") -> Answer:
    """Write plans of these names, without limits."""
    return await plane.ask("PUT", f"/v1/plans{query}", {"plans": {name: {} for name in names}})


async def put_on(plane: Plane, tenant: str, plan: str, query: str = "") -> Answer:
    """Put a tenant on a plan."""
    return await plane.ask("PUT", f"/v1/tenants/{tenant}{query}", document(plan=plan))


async def test_the_plans_are_read_as_they_were_written_and_their_etag_is_their_revision(plane: Plane) -> None:
    none = await plane.get("/v1/plans")
    assert (none.status, none.body["detail"]) == (404, "there are no plans")
    written = await plane.ask("PUT", "/v1/plans", PLANS)
    assert (written.status, written.headers["Location"]) == (201, "/v1/plans")
    assert (written.body["created"], written.body["changed"]) == (True, True)
    read = await plane.get("/v1/plans")
    assert (read.status, read.body) == (200, PLANS)
    assert read.headers["ETag"] == written.headers["ETag"] == f'"{written.body["revision"]}"'
    again = await plane.get("/v1/plans", headers={"If-None-Match": read.headers["ETag"]})
    assert (again.status, again.body) == (304, None)
    assert (await plane.get("/v1/audit")).body["items"][0]["action"] == "plans.put"


async def test_writing_the_plans_that_are_there_makes_no_revision(plane: Plane) -> None:
    first = await plane.ask("PUT", "/v1/plans", PLANS)
    limits = {"per-key": {**RATE["per-key"], "shadow": False}}
    spelled = {"plans": {"default": {"limits": limits}, "gold": {"limits": {}}}}
    again = await plane.ask("PUT", "/v1/plans", spelled)
    assert (again.status, again.body["changed"]) == (200, False)
    assert again.headers["ETag"] == first.headers["ETag"]


async def test_every_fault_of_the_plans_is_listed_with_its_path(plane: Plane) -> None:
    wrong = {"plans": {"a": {"limits": {"x": {"rate": "fast", "by": "key"}}}, "b": 5}}
    for query in ("", "?dry_run=true"):
        refused = await plane.ask("PUT", f"/v1/plans{query}", wrong)
        assert (refused.status, refused.paths) == (422, ["plans.a.limits.x.rate", "plans.b"])
    assert (await plane.get("/v1/plans")).status == 404


async def test_a_dry_run_says_what_would_change_and_writes_nothing(plane: Plane) -> None:
    rehearsed = await plane.ask("PUT", "/v1/plans?dry_run=true", PLANS)
    assert (rehearsed.status, rehearsed.body["created"], rehearsed.body["dry_run"]) == (200, True, True)
    assert [(one["path"], one["verb"]) for one in rehearsed.body["diff"]] == [
        ("plans.default", "added"),
        ("plans.gold", "added"),
    ]
    assert (await plane.catalog.head()).revision == 0
    await plane.ask("PUT", "/v1/plans", PLANS)
    changed = {"plans": {"default": {"limits": {"per-key": {"rate": "20/s", "by": "key"}}}, "gold": {}}}
    [difference] = (await plane.ask("PUT", "/v1/plans?dry_run=true", changed)).body["diff"]
    assert difference == {
        "path": "plans.default.limits.per-key.rate", "verb": "changed", "before": "10/s", "after": "20/s"
    }  # fmt: skip
    assert (await plane.get("/v1/plans")).body == PLANS


async def test_a_stale_if_match_is_412_and_if_none_match_star_never_overwrites(plane: Plane) -> None:
    stale = (await put_plans(plane, "a")).headers["ETag"]
    fresh = (await put_plans(plane, "a", "b")).headers["ETag"]
    for headers in ({"If-Match": stale}, {"If-None-Match": "*"}):
        for method, path, body in (("PUT", "", PLANS), ("POST", "/rollback", {"revision": 1})):
            refused = await plane.ask(method, f"/v1/plans{path}", body, headers=headers)
            assert (refused.status, refused.body["code"]) == (412, "precondition_failed")
            assert refused.body["detail"].startswith("the document of the plans ")
    assert (await plane.ask("PUT", "/v1/plans", PLANS | {}, headers={"If-Match": fresh})).status == 200


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_a_tenant_is_not_put_on_a_plan_that_is_not_there(plane: Plane, query: str) -> None:
    await put_plans(plane, "gold-1")
    await plane.put("acme")
    revision = (await put_on(plane, "acme", "gold-1")).body["revision"]
    fault = {"path": "plan", "message": "there is no plan 'gold'; did you mean 'gold-1'?"}
    for method, body in (("PUT", document(plan="gold")), ("PATCH", {"plan": "gold"})):
        refused = await plane.ask(method, f"/v1/tenants/acme{query}", body)
        assert (refused.status, refused.body["code"], refused.body["errors"]) == (422, "invalid", [fault])
    both = await plane.ask("PUT", f"/v1/tenants/acme{query}", document(plan="gold", nmae="x"))
    assert set(both.paths) == {"plan", "nmae"}
    no_name = await plane.ask("PUT", f"/v1/tenants/acme{query}", document(plan="gold!"))
    assert no_name.paths == ["plan"]
    await plane.put("acme")
    await put_plans(plane, "gold-2")
    gone = await plane.ask("POST", f"/v1/tenants/acme/rollback{query}", {"revision": revision})
    assert (gone.status, gone.paths) == (422, ["plan"])


async def test_the_default_plan_need_not_exist_to_be_named_nor_to_be_dropped(plane: Plane) -> None:
    assert (await put_on(plane, "acme", "default")).status == 201
    await put_plans(plane, "default")
    assert (await put_plans(plane)).status == 200


async def test_a_dry_run_may_assume_a_plan_that_is_to_be_written_first(acme: Plane) -> None:
    rehearsed = await put_on(acme, "acme", "gold", "?dry_run=true&assume_plan=gold")
    assert (rehearsed.status, [one["path"] for one in rehearsed.body["diff"]]) == (200, ["plan"])
    assert (await put_on(acme, "acme", "gold", "?dry_run=true&assume_plan=silver")).status == 422
    refused = await put_on(acme, "acme", "gold", "?assume_plan=gold")
    assert (refused.status, refused.body["code"]) == (400, "malformed_request")
    assert "plan" not in (await acme.get("/v1/tenants/acme")).body


async def test_a_tenants_token_keeps_its_plan_and_learns_of_no_other(plane: Plane) -> None:
    await put_plans(plane, "gold", "silver")
    await put_on(plane, "acme", "gold")
    token = await plane.token_of("acme")
    own = await plane.ask("PUT", "/v1/tenants/acme", document(plan="gold", name="New"), token=token)
    assert (own.status, own.body["changed"]) == (200, True)
    for plan in ("silver", "none", None):
        refused = await plane.ask("PATCH", "/v1/tenants/acme", {"plan": plan}, token=token)
        assert (refused.status, refused.body["code"]) == (403, "forbidden")
        assert "silver" not in str(refused.body)
    assert (await plane.get("/v1/tenants/acme")).body["plan"] == "gold"


@pytest.mark.parametrize("query", ["", "?dry_run=true"])
async def test_a_plan_is_not_dropped_while_tenants_are_on_it_and_they_are_named(plane: Plane, query: str) -> None:
    await put_plans(plane, "default", "gold", "free")
    await put_on(plane, "acme", "gold")
    await plane.put("beta")
    refused = await put_plans(plane, "default", "free", query=query)
    assert (refused.status, refused.body["code"]) == (409, "plan_in_use")
    assert "would be gone: acme (gold); put" in refused.body["detail"]
    assert set((await plane.get("/v1/plans")).body["plans"]) == {"default", "gold", "free"}
    assert (await put_plans(plane, "gold", query=query)).status == 200
    await put_on(plane, "acme", "gold")
    await plane.put("acme")
    assert (await put_plans(plane, query=query)).status == 200


async def test_of_the_tenants_on_a_plan_ten_are_named(plane: Plane) -> None:
    await put_plans(plane, "gold")
    names = [f"t{number:02}" for number in range(11)]
    for number, name in enumerate(names, 1):
        await put_on(plane, name, "gold")
        if number >= 10:
            detail = (await put_plans(plane)).body["detail"]
            assert ("t09 (gold) and others;" in detail) == (number > 10)
            assert ("t09 (gold);" in detail) == (number == 10)


async def test_a_tenant_that_cannot_be_read_keeps_no_plan_from_being_dropped(plane: Plane) -> None:
    await put_plans(plane, "gold")
    await put_on(plane, "acme", "gold")
    plane.overwrite("acme", b"garbage of somebody else")
    assert (await put_plans(plane)).status == 200


async def test_plans_that_cannot_be_read_are_said_so_and_put_writes_them_anew(plane: Plane) -> None:
    await put_plans(plane, "gold")
    await put_on(plane, "acme", "gold")
    plane.overwrite("@plans", b"garbage of somebody else")
    read = await plane.get("/v1/plans")
    assert (read.status, read.body["code"]) == (500, "record_unreadable")
    assert read.body["detail"].startswith("the document of the plans cannot be read: the bytes are not a record; write")
    assert (await put_on(plane, "beta", "gold")).status == 201  # the last good ones are known
    assert (await put_on(plane, "beta", "silver")).status == 422
    assert (await put_plans(plane, "silver")).status == 409
    again = await put_plans(plane, "gold")
    assert (again.status, again.body["created"], again.body["changed"]) == (200, False, True)
    assert (await plane.get("/v1/plans")).body == {"plans": {"gold": {}}}


async def test_a_rollback_of_the_plans_is_a_new_revision_and_drops_none_that_is_in_use(plane: Plane) -> None:
    first = (await plane.ask("PUT", "/v1/plans", PLANS)).body["revision"]
    await put_plans(plane, "gold", "silver")
    items = (await plane.get("/v1/plans/revisions")).body["items"]
    assert [(one["action"], one["actor"]) for one in items] == [("plans.put", "operator:bootstrap")] * 2
    await put_on(plane, "acme", "silver")
    assert (await plane.ask("POST", "/v1/plans/rollback", {"revision": first})).status == 409
    await put_on(plane, "acme", "gold")
    rolled = await plane.ask("POST", "/v1/plans/rollback", {"revision": first})
    assert (rolled.status, rolled.body["changed"]) == (200, True)
    assert rolled.body["revision"] > first
    assert (await plane.get("/v1/plans")).body == PLANS
    none = await plane.ask("POST", "/v1/plans/rollback", {"revision": 4711})
    assert (none.status, none.body["detail"]) == (404, "the plans have no revision 4711 to go back to")
