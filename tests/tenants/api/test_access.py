"""Who reaches what: every operation of the table, with no token, a wrong one, and another tenant's."""

from __future__ import annotations

import pytest

from store.secrets import parse_token
from tenants.api.app import OPERATIONS
from tenants.api.operations import Operation
from tests.tenants.plane import Plane, document

PRIVATE = [operation for operation in OPERATIONS if not operation.is_public]
OF_A_TENANT = [operation for operation in PRIVATE if "{tenant}" in operation.path]
OF_OPERATORS = [
    operation for operation in PRIVATE if "{tenant}" not in operation.path and operation.name != "listTenants"
]

WELL_FORMED_BUT_UNKNOWN = "pt_000000000000_00000000000000000000002PuhF6"

BODIES: dict[str, object] = {
    "putTenant": document(name="Taken over"),
    "patchTenant": {"name": "Taken over"},
    "rollBack": {"revision": 1},
    "addDomain": {"host": "taken-over.test"},
    "createKey": {"name": "taken over"},
    "createToken": {"name": "taken over", "kind": "operator"},
    "putPlans": {"plans": {}},
    "rollBackPlans": {"revision": 1},
}


def path_of(operation: Operation, tenant: str) -> str:
    """The path with what exists of this tenant in it."""
    exists = {"tenant": tenant, "host": f"{tenant}.test", "id": "some-id", "subject": "somebody"}
    return operation.path.format(**exists)


def by_name(operation: Operation) -> str:
    """The test's id."""
    return operation.name


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic b3BlcmF0b3I6eA==", f"Bearer {WELL_FORMED_BUT_UNKNOWN}",
     "Bearer an-operator-token-of-the-test", "an-operator-token-of-the-tests"],
)  # fmt: skip
async def test_without_a_valid_token_everything_is_401(acme: Plane, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    head = await acme.catalog.head()
    for operation in PRIVATE:
        body = BODIES.get(operation.name)
        refused = await acme.ask(operation.method, path_of(operation, "acme"), body, token=None, headers=headers)
        assert (refused.status, refused.body["code"]) == (401, "unauthenticated"), operation.name
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert await acme.catalog.head() == head


def test_the_unknown_token_has_the_form_of_one() -> None:
    assert parse_token(WELL_FORMED_BUT_UNKNOWN) is not None


@pytest.fixture
async def two_tenants(plane: Plane) -> Plane:
    """Tenants acme and beta, each with a verified domain."""
    for name in ("acme", "beta"):
        await plane.put(name, domains=[{"host": f"{name}.test", "verified_by": "operator"}])
    return plane


async def test_another_tenant_is_404_by_every_operation_and_nothing_happens_to_it(two_tenants: Plane) -> None:
    plane = two_tenants
    token = await plane.token_of("beta")
    before = await plane.get("/v1/tenants/acme")
    head = await plane.catalog.head()
    assert len(OF_A_TENANT) >= 14
    for operation in OF_A_TENANT:
        body = BODIES.get(operation.name)
        theirs = await plane.ask(operation.method, path_of(operation, "acme"), body, token=token)
        absent = await plane.ask(operation.method, path_of(operation, "none"), body, token=token)
        assert theirs.status == absent.status == 404, operation.name
        assert theirs.body["detail"].replace("acme", "none") == absent.body["detail"], operation.name
    after = await plane.get("/v1/tenants/acme")
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])
    assert await plane.catalog.head() == head


async def test_its_own_tenant_is_reached_by_every_operation_that_is_not_an_operators(two_tenants: Plane) -> None:
    plane = two_tenants
    token = await plane.token_of("beta")
    statuses = {}
    for operation in OF_A_TENANT:
        query = {"dry_run": "true"} if operation.is_conditional else {}
        path = path_of(operation, "beta")
        body = BODIES.get(operation.name)
        statuses[operation.name] = (await plane.ask(operation.method, path, body, token=token, params=query)).status
    expected = dict.fromkeys(statuses, 200) | {
        "deleteTenant": 403,  # an operator's decision
        "verifyDomain": 409,  # proof is not supported yet
        "createKey": 201,
        "getKey": 404,  # "some-id"
        "deleteKey": 404,
        "rollBack": 200,
    }
    revision = (await plane.get("/v1/tenants/beta/revisions")).body["items"][0]["revision"]
    if revision != 1:  # BODIES asks for revision 1, which is acme's
        expected["rollBack"] = 404
    assert statuses == expected


@pytest.mark.parametrize("operation", OF_OPERATORS, ids=by_name)
async def test_what_concerns_all_tenants_is_403_for_a_tenants_token(two_tenants: Plane, operation: Operation) -> None:
    token = await two_tenants.token_of("beta")
    before = (await two_tenants.get("/v1/tokens")).body
    body = BODIES.get(operation.name)
    refused = await two_tenants.ask(operation.method, path_of(operation, "beta"), body, token=token)
    assert (refused.status, refused.body["code"]) == (403, "forbidden")
    assert (await two_tenants.get("/v1/tokens")).body == before


async def test_the_plans_are_no_tenant_to_any_operation_and_nobody_has_a_token_or_key_of_theirs(
    two_tenants: Plane,
) -> None:
    plane = two_tenants
    assert (await plane.ask("PUT", "/v1/plans", {"plans": {"gold": {}}})).status == 201
    head = await plane.catalog.head()
    for operation in OF_A_TENANT:
        for name in ("@plans", "%40plans"):
            body = BODIES.get(operation.name)
            refused = await plane.ask(operation.method, path_of(operation, name), body)
            assert (refused.status, refused.body["detail"]) == (404, "there is no tenant '@plans'"), operation.name
    refused = await plane.ask("POST", "/v1/tokens", {"name": "of the plans", "tenant": "@plans"})
    assert (refused.status, refused.body["code"]) == (404, "not_found")
    for cursor in ("", "?cursor=%40", "?cursor=@plan", "?limit=1"):
        listed = (await plane.get(f"/v1/tenants{cursor}")).body["items"]
        assert {item["tenant"] for item in listed} <= {"acme", "beta"}
    assert await plane.catalog.head() == head
    assert await plane.catalog.list_keys("@plans") == []


async def test_the_list_shows_a_tenant_itself_alone(two_tenants: Plane) -> None:
    token = await two_tenants.token_of("beta")
    for query in ("", "?limit=1", "?cursor=a"):
        listed = (await two_tenants.get(f"/v1/tenants{query}", token=token)).body
        assert [item["tenant"] for item in listed["items"]] == ["beta"]


async def test_a_tenants_token_does_not_create_its_tenant_again_once_it_is_deleted(plane: Plane) -> None:
    await plane.put("acme")
    token = await plane.token_of("acme")
    record = (await plane.catalog.list_tokens())[0]
    await plane.ask("DELETE", "/v1/tenants/acme")
    await plane.catalog.put_token(record)  # as if the deletion had been cut short after its commit
    assert (await plane.ask("PUT", "/v1/tenants/acme", document(), token=token)).status == 404
    await plane.put("acme")
    assert (await plane.get("/v1/tenants/acme", token=token)).status == 401


async def test_a_wrong_token_is_not_repeated_in_the_answer(plane: Plane) -> None:
    refused = await plane.get("/v1/tenants", token="a-secret-typed-at-the-wrong-place")
    assert "a-secret" not in str(refused.body) + str(dict(refused.headers))
