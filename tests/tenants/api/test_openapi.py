"""The OpenAPI document and the page made from it: complete, consistent, self-contained."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from store.catalog import Catalog
from store.client import connect
from store.model import parse_document, parse_plans
from tenants.api.app import OPERATIONS, build_app, describe, page
from tenants.errors import KINDS
from tenants.service import Service
from tests.tenants.plane import Plane, document


async def test_every_route_is_documented_and_every_documented_operation_is_routed() -> None:
    async with connect("redis://127.0.0.1:1", "control") as client:
        app = build_app(Service(client, Catalog(client)))
    routed = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    documented = {(method.upper(), path) for path, methods in describe()["paths"].items() for method in methods}
    assert routed == documented
    assert len(routed) == len(OPERATIONS)


@pytest.mark.parametrize(
    "promised",
    [
        "GET /v1/tenants", "GET /v1/tenants/{tenant}", "PUT /v1/tenants/{tenant}", "PATCH /v1/tenants/{tenant}",
        "DELETE /v1/tenants/{tenant}", "GET /v1/tenants/{tenant}/domains", "POST /v1/tenants/{tenant}/domains",
        "GET /v1/tenants/{tenant}/domains/{host}", "DELETE /v1/tenants/{tenant}/domains/{host}",
        "POST /v1/tenants/{tenant}/domains/{host}/verify", "GET /v1/tenants/{tenant}/keys",
        "POST /v1/tenants/{tenant}/keys", "DELETE /v1/tenants/{tenant}/keys/{id}",
        "DELETE /v1/tenants/{tenant}/sessions", "DELETE /v1/tenants/{tenant}/sessions/{subject}",
        "GET /v1/tenants/{tenant}/revisions", "POST /v1/tenants/{tenant}/rollback", "GET /v1/nodes", "GET /v1/audit",
        "GET /v1/tokens", "POST /v1/tokens", "DELETE /v1/tokens/{id}", "GET /v1/openapi.json", "GET /v1/docs",
    ],
)  # fmt: skip
def test_what_the_contract_promises_is_there(promised: str) -> None:
    method, path = promised.split()
    assert method.lower() in describe()["paths"][path]


def test_every_reference_leads_somewhere() -> None:
    schemas = describe()["components"]["schemas"]
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(describe())))
    assert references
    for reference in references:
        assert reference.startswith("#/components/schemas/")
        assert reference.rsplit("/", 1)[-1] in schemas, reference


def test_operation_ids_are_unique_and_every_path_parameter_is_declared() -> None:
    ids = []
    for path, methods in describe()["paths"].items():
        for operation in methods.values():
            ids.append(operation["operationId"])
            declared = {one["name"] for one in operation["parameters"] if one["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path))
    assert len(ids) == len(set(ids))


def test_every_write_waits_for_the_fleet_and_every_conditional_one_takes_if_match() -> None:
    for operation in OPERATIONS:
        shown = describe()["paths"][operation.path][operation.method.lower()]
        names = {one["name"] for one in shown["parameters"]}
        assert operation.is_write == (operation.method != "GET")
        assert ({"wait", "timeout"} <= names) == operation.is_write
        assert ("If-Match" in names) == ("dry_run" in names) == operation.is_conditional


def test_only_public_operations_go_without_a_token() -> None:
    public = {operation.name for operation in OPERATIONS if operation.is_public}
    assert public == {"getOpenapi", "getDocs", "getLive", "getReady"}
    for operation in OPERATIONS:
        shown = describe()["paths"][operation.path][operation.method.lower()]
        assert ("security" in shown) == operation.is_public


async def test_the_answers_have_the_documented_fields(plane: Plane) -> None:
    assert (await plane.get("/v1/openapi.json", token=None)).body == json.loads(json.dumps(describe()))
    schemas = describe()["components"]["schemas"]
    await plane.put("acme", domains=["a.test"])
    made = {
        "DocumentWritten": (await plane.ask("PUT", "/v1/tenants/acme?dry_run=true&wait=fleet", document())).body,
        "DomainAnswer": (await plane.get("/v1/tenants/acme/domains/a.test")).body,
        "KeyCreated": (await plane.ask("POST", "/v1/tenants/acme/keys", {"name": "k"})).body,
        "TokenCreated": (await plane.ask("POST", "/v1/tokens", {"name": "t", "tenant": "acme"})).body,
        "Nodes": (await plane.get("/v1/nodes")).body,
        "AuditEntry": (await plane.get("/v1/audit")).body["items"][0],
        "PlansWritten": (await plane.ask("PUT", "/v1/plans?dry_run=true&wait=fleet", {"plans": {}})).body,
        "Revision": (await plane.get("/v1/tenants/acme/revisions")).body["items"][0],
        "TenantItem": (await plane.get("/v1/tenants")).body["items"][0],
        "Problem": (await plane.get("/v1/tenants/none")).body,
    }
    for name, body in made.items():
        assert set(body) <= set(schemas[name]["properties"]), name
        assert set(schemas[name].get("required", ())) - set(body) <= {"durable"}, name


def test_the_documents_schema_describes_what_the_parser_takes() -> None:
    schema = describe()["components"]["schemas"]["TenantDocument"]
    taken = parse_document({"tenant": "acme", **document()})
    assert set(taken.model_dump(by_alias=True)) == set(schema["properties"])


def test_the_plans_schema_shares_the_limits_with_the_documents() -> None:
    schemas = describe()["components"]["schemas"]
    limits = schemas["Plan"]["properties"]["limits"]
    assert limits == schemas["TenantDocument"]["properties"]["limits"]
    assert parse_plans(schemas["Plans"]["examples"][0])
    taken = describe()["paths"]["/v1/plans"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    given = describe()["paths"]["/v1/plans"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert taken == given == {"$ref": "#/components/schemas/Plans"}


class _Links(HTMLParser):
    """Collects ids, links and whatever would be fetched or run."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found.get("href")))
        if tag in ("script", "link", "img", "iframe") or "src" in found or any(name.startswith("on") for name in found):
            self.fetched.append(tag)


@pytest.fixture(scope="module")
def links() -> _Links:
    """The page, taken apart."""
    parser = _Links()
    parser.feed(page())
    return parser


def test_the_page_needs_nothing_but_itself(links: _Links) -> None:
    assert links.fetched == []
    assert not re.search(r"url\(|@import", page())


def test_every_link_of_the_page_leads_to_one_place(links: _Links) -> None:
    assert len(links.ids) == len(set(links.ids))
    inner = {link[1:] for link in links.links if link.startswith("#") and link != "#"}
    assert inner <= set(links.ids)


def test_every_operation_and_every_problem_is_on_the_page(links: _Links) -> None:
    assert {operation.name for operation in OPERATIONS} <= set(links.ids)
    assert {kind.code for kind in KINDS} <= set(links.ids)


async def test_the_page_is_served_as_html_that_may_load_nothing(plane: Plane) -> None:
    answer = await plane.get("/v1/docs", token=None)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.body == page()


def test_no_placeholder_of_the_page_is_left_empty() -> None:
    shown: Any = page()
    assert "None" not in re.sub(r"<style>.*?</style>", "", shown, flags=re.DOTALL)
