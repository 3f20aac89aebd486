"""Domains: claimed, vouched for, given up."""

from __future__ import annotations

import asyncio

import pytest

from tests.tenants.plane import Plane, document


async def test_a_claimed_host_is_pending_and_says_what_an_operator_must_do(acme: Plane) -> None:
    created = await acme.ask("POST", "/v1/tenants/acme/domains", {"host": "Shop.Acme.Com."})
    assert created.status == 201
    assert created.headers["Location"] == "/v1/tenants/acme/domains/shop.acme.com"
    assert created.body["host"] == "shop.acme.com"
    assert (created.body["state"], created.body["served"]) == ("pending", False)
    assert created.body["reason"] == "awaiting_operator"
    assert "portico domain verify acme" in created.body["next_step"]
    assert created.body["records"] == []  # none would have an effect: nothing looks at DNS yet
    assert (await acme.get("/v1/tenants/acme")).body["domains"] == ["shop.acme.com"]


async def test_an_operators_word_verifies_a_host_and_stays_when_the_document_is_written_again(acme: Plane) -> None:
    await acme.ask("POST", "/v1/tenants/acme/domains", {"host": "shop.acme.com"})
    verified = await acme.ask("POST", "/v1/tenants/acme/domains/shop.acme.com/verify")
    assert (verified.status, verified.body["state"], verified.body["served"]) == (200, "verified", True)
    assert verified.body["verified_by"] == "operator"
    await acme.put("acme", domains=["shop.acme.com"], name="Changed")
    kept = (await acme.get("/v1/tenants/acme/domains/shop.acme.com")).body
    assert (kept["state"], kept["since"]) == ("verified", verified.body["since"])
    again = await acme.ask("POST", "/v1/tenants/acme/domains/shop.acme.com/verify")
    assert (again.status, again.body["changed"]) == (200, False)


async def test_a_host_that_leaves_the_document_and_returns_begins_again(acme: Plane) -> None:
    await acme.ask("POST", "/v1/tenants/acme/domains", {"host": "a.test", "verified_by": "operator"})
    await acme.put("acme")
    await acme.put("acme", domains=["a.test"])
    assert (await acme.get("/v1/tenants/acme/domains/a.test")).body["state"] == "pending"


async def test_a_document_that_vouches_is_enough_and_one_that_stops_vouching_takes_the_word_back(plane: Plane) -> None:
    await plane.put("acme", domains=[{"host": "*.acme.app", "verified_by": "operator"}])
    domain = (await plane.get("/v1/tenants/acme/domains/*.acme.app")).body
    assert (domain["state"], domain["verified_by"], domain["served"]) == ("verified", "operator", True)
    await plane.put("acme", domains=["*.acme.app"])
    assert (await plane.get("/v1/tenants/acme/domains/%2A.acme.app")).body["state"] == "pending"


async def test_a_disabled_tenant_is_not_served_and_the_reason_says_so(plane: Plane) -> None:
    await plane.put("acme", domains=[{"host": "a.test", "verified_by": "operator"}], enabled=False)
    domain = (await plane.get("/v1/tenants/acme/domains/a.test")).body
    assert (domain["state"], domain["served"], domain["reason"]) == ("verified", False, "tenant_disabled")


async def test_claiming_a_host_again_is_no_error_and_no_revision(acme: Plane) -> None:
    first = await acme.ask("POST", "/v1/tenants/acme/domains", {"host": "a.test"})
    again = await acme.ask("POST", "/v1/tenants/acme/domains", {"host": "a.test"})
    assert (first.status, again.status) == (201, 200)
    assert again.body["revision"] == first.body["revision"]
    assert again.body["changed"] is False


async def test_a_host_of_somebody_else_is_409_and_the_owner_is_not_named(acme: Plane) -> None:
    await acme.put("beta")
    await acme.ask("POST", "/v1/tenants/acme/domains", {"host": "a.test"})
    refused = await acme.ask("POST", "/v1/tenants/beta/domains", {"host": "a.test"})
    assert (refused.status, refused.body["code"]) == (409, "domain_claimed")
    assert "a.test" in refused.body["detail"]
    assert "acme" not in str(refused.body)


async def test_of_two_tenants_adding_one_host_exactly_one_wins(acme: Plane) -> None:
    await acme.put("beta")
    for number in range(10):
        body = {"host": f"prize-{number}.test"}
        answers = await asyncio.gather(
            *(acme.ask("POST", f"/v1/tenants/{tenant}/domains", body) for tenant in ("acme", "beta"))
        )
        assert sorted(answer.status for answer in answers) == [201, 409]


async def test_many_hosts_added_at_once_are_all_there(acme: Plane) -> None:
    hosts = [f"h{number}.test" for number in range(20)]
    await asyncio.gather(*(acme.ask("POST", "/v1/tenants/acme/domains", {"host": host}) for host in hosts))
    listed = (await acme.get("/v1/tenants/acme/domains")).body["items"]
    assert sorted(item["host"] for item in listed) == sorted(hosts)


async def test_a_host_given_up_is_free_at_once(acme: Plane) -> None:
    await acme.put("beta")
    await acme.ask("POST", "/v1/tenants/acme/domains", {"host": "a.test"})
    removed = await acme.ask("DELETE", "/v1/tenants/acme/domains/a.test")
    assert (removed.status, removed.body["host"], removed.body["changed"]) == (200, "a.test", True)
    assert (await acme.get("/v1/tenants/acme/domains/a.test")).status == 404
    assert (await acme.ask("POST", "/v1/tenants/beta/domains", {"host": "a.test"})).status == 201


async def test_a_host_that_a_route_names_cannot_be_given_up(plane: Plane) -> None:
    routes = [{"name": "all", "path": "/*", "upstream": "shop", "domains": ["a.test"]}]
    await plane.put("acme", domains=["a.test", "b.test"], routes=routes)
    refused = await plane.ask("DELETE", "/v1/tenants/acme/domains/a.test")
    assert refused.status == 422
    assert refused.paths == ["routes[0].domains[0]"]
    assert (await plane.ask("DELETE", "/v1/tenants/acme/domains/b.test")).status == 200


@pytest.mark.parametrize(
    "host", ["", "two words", "-a.test", "a..b", "http://a.test", "a" * 300, "*.*.test", "a_b!.test"]
)
async def test_what_is_no_host_is_refused_with_its_path(acme: Plane, host: str) -> None:
    refused = await acme.ask("POST", "/v1/tenants/acme/domains", {"host": host})
    assert (refused.status, refused.paths) == (422, ["host"])
    assert "domains" not in (await acme.get("/v1/tenants/acme")).body


async def test_a_tenant_may_not_vouch_for_itself_in_any_way(acme: Plane) -> None:
    token = await acme.token_of("acme")
    vouched = [{"host": "a.test", "verified_by": "operator"}]
    tries = [
        await acme.ask("PUT", "/v1/tenants/acme", document(domains=vouched), token=token),
        await acme.ask("PATCH", "/v1/tenants/acme", {"domains": vouched}, token=token),
        await acme.ask("POST", "/v1/tenants/acme/domains", vouched[0], token=token),
        await acme.ask("PUT", "/v1/tenants/acme?dry_run=true", document(domains=vouched), token=token),
    ]
    assert [(answer.status, answer.body["code"]) for answer in tries] == [(403, "forbidden")] * 4
    assert "verified_by" in tries[0].body["detail"]
    assert "domains" not in (await acme.get("/v1/tenants/acme")).body


async def test_a_tenant_cannot_bring_back_a_word_that_an_operator_took_back(plane: Plane) -> None:
    vouched = (await plane.put("acme", domains=[{"host": "a.test", "verified_by": "operator"}])).body["revision"]
    await plane.put("acme", domains=["a.test"])
    token = await plane.token_of("acme")
    refused = await plane.ask("POST", "/v1/tenants/acme/rollback", {"revision": vouched}, token=token)
    assert refused.status == 403
    assert (await plane.get("/v1/tenants/acme/domains/a.test")).body["state"] == "pending"


async def test_a_tenant_writes_its_own_export_back_and_keeps_the_operators_word(plane: Plane) -> None:
    await plane.put("acme", domains=[{"host": "a.test", "verified_by": "operator"}])
    token = await plane.token_of("acme")
    own = (await plane.get("/v1/tenants/acme", token=token)).body
    assert (await plane.ask("PUT", "/v1/tenants/acme", {**own, "name": "Mine"}, token=token)).status == 200
    assert (await plane.get("/v1/tenants/acme/domains/a.test")).body["served"] is True
    plain = {**own, "domains": ["a.test"]}
    assert (await plane.ask("PUT", "/v1/tenants/acme", plain, token=token)).status == 200
    assert (await plane.get("/v1/tenants/acme/domains/a.test")).body["served"] is True


async def test_a_tenant_that_asks_to_verify_is_told_that_an_operator_can(acme: Plane) -> None:
    token = await acme.token_of("acme")
    await acme.ask("POST", "/v1/tenants/acme/domains", {"host": "a.test"}, token=token)
    refused = await acme.ask("POST", "/v1/tenants/acme/domains/a.test/verify", token=token)
    assert (refused.status, refused.body["code"]) == (409, "proof_not_supported")
    assert "operator" in refused.body["detail"]
    assert (await acme.get("/v1/tenants/acme/domains/a.test")).body["state"] == "pending"


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("DELETE", ""), ("POST", "/verify")])
@pytest.mark.parametrize("host", ["unknown.test", "not%20a%20host"])
async def test_a_host_that_the_tenant_has_not_is_404(acme: Plane, method: str, suffix: str, host: str) -> None:
    assert (await acme.ask(method, f"/v1/tenants/acme/domains/{host}{suffix}")).status == 404
