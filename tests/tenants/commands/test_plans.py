"""Plans in files: validated offline, applied before the tenants, exported first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from store.fleet import WorkerReport
from store.model import load_yaml_documents
from tests.tenants.plane import Plane
from tests.tenants.portico import Portico

FILE = """
tenant: acme
plan: gold
---
plans:
  default: {limits: {per-key: {rate: 10/s, by: key}}}
  gold: {}
---
tenant: beta
"""
EXPORTED = [
    {"plans": {"default": {"limits": {"per-key": {"rate": "10/s", "by": "key"}}}, "gold": {}}},
    {"tenant": "acme", "plan": "gold"},
    {"tenant": "beta"},
]


async def test_validate_takes_plans_beside_tenants(portico: Portico) -> None:
    portico.be("http://127.0.0.1:1", "")
    shown = await portico.ok("validate", "-f", "-", "-o", "json", stdin=FILE)
    assert shown.data == [{"tenant": name, "valid": True} for name in ("@plans", "acme", "beta")]
    rows = (await portico.ok("validate", "-f", "-", stdin=FILE)).out.splitlines()[1:]
    assert rows[0].split() == ["@plans", "-", "-", "standard", "input:", "document", "2"]
    assert (await portico.ok("validate", "-f", "-", stdin="plans: {}")).out


async def test_validate_lists_every_fault_of_plans_with_its_place_and_file(portico: Portico, tmp_path: Path) -> None:
    faulty, other = tmp_path / "faulty.yaml", tmp_path / "other.yaml"
    faulty.write_text("plans: {a: {limits: {x: {rate: fast, by: key}}}, b: 5}\n")
    other.write_text("tenant: acme\nplan: gold\nnmae: x\n")
    ended = await portico("validate", "-f", str(faulty), "-f", str(other))
    assert ended.status == 1
    assert ended.lines[0] == "portico: 3 faults"
    assert ended.lines[1].startswith(f"  {faulty}: plans.a.limits.x.rate: expected a rate")
    assert ended.lines[2:] == [
        f"  {faulty}: plans.b: expected a mapping with 'limits' alone",
        f"  {other}: acme: nmae: unknown field; did you mean 'name'?",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("plans: {gold-1: {}}\n---\ntenant: acme\nplan: gold",
         "standard input: acme: plan: there is no plan 'gold'; did you mean 'gold-1'?"),
        ("plans: {}\n---\nplans: {}",
         "standard input: document 2: plans: described twice, also in standard input: document 1"),
        ("plans:", "standard input: plans: expected a mapping of plans, and nothing besides it"),
        ("plans: {}\nroutes: []", "standard input: plans: expected a mapping of plans, and nothing besides it"),
        ("tenant: acme\nplans: {}", "standard input: acme: plans: unknown field; did you mean 'plan'?"),
    ],
)  # fmt: skip
async def test_what_cannot_be_of_plans_is_said_offline(portico: Portico, text: str, fault: str) -> None:
    ended = await portico("validate", "-f", "-", stdin=text)
    assert (ended.status, ended.lines) == (1, ["portico: 1 fault", f"  {fault}"])


async def test_files_without_plans_may_name_those_that_are_there(portico: Portico, plane: Plane) -> None:
    await portico.ok("validate", "-f", "-", stdin="tenant: acme\nplan: gold")
    refused = await portico("apply", "-f", "-", stdin="tenant: acme\nplan: gold")
    assert (refused.status, refused.lines[1:]) == (1, ["  standard input: acme: plan: there is no plan 'gold'"])
    await portico.ok("apply", "-f", "-", stdin="plans: {gold: {}}")
    await portico.ok("apply", "-f", "-", stdin="tenant: acme\nplan: gold")


async def test_apply_writes_the_plans_first_and_an_export_of_all_feeds_it_unchanged(
    portico: Portico, plane: Plane
) -> None:
    shown = await portico.ok("diff", "-f", "-", stdin=FILE)
    assert shown.out.splitlines() == [
        "@plans: create",
        '  + plans.default: {"limits": {"per-key": {"by": "key", "rate": "10/s"}}}',
        "  + plans.gold: {}",
        "acme: create",
        '  + plan: "gold"',
        '  + tenant: "acme"',
        "beta: create",
        '  + tenant: "beta"',
    ]
    assert (await portico.ok("apply", "--dry-run", "-f", "-", stdin=FILE)).out == shown.out
    assert (await plane.catalog.head()).revision == 0
    first = await portico.ok("apply", "-f", "-", "-o", "json", stdin=FILE)
    assert [(one["tenant"], one["result"], one["revision"]) for one in first.data] == [
        ("@plans", "created", 1), ("acme", "created", 2), ("beta", "created", 3)
    ]  # fmt: skip
    head = await plane.catalog.head()
    for output in ("yaml", "json"):
        exported = (await portico.ok("export", "-o", output)).out
        assert (json.loads(exported) if output == "json" else load_yaml_documents(exported)) == EXPORTED
        again = await portico.ok("apply", "-f", "-", "-o", "json", stdin=exported)
        assert [one["result"] for one in again.data] == ["unchanged"] * 3
    assert await plane.catalog.head() == head
    assert load_yaml_documents((await portico.ok("export", "acme")).out) == EXPORTED[1:2]


async def test_prune_drops_no_plans_and_only_plans_that_are_described_take_the_place_of_others(
    portico: Portico, plane: Plane
) -> None:
    await portico.ok("apply", "-f", "-", stdin=FILE)
    await portico.ok("apply", "-f", "-", "--prune", stdin="tenant: acme\nplan: gold")
    assert set((await plane.get("/v1/plans")).body["plans"]) == {"default", "gold"}
    used = await portico("apply", "-f", "-", "--prune", stdin="plans: {}\n---\ntenant: acme")
    assert (used.status, used.lines[0]) == (1, "portico: refused: 1 fault; nothing was written")
    assert "would be gone: acme (gold); put them on others first" in used.lines[1]
    await portico.ok("apply", "-f", "-", stdin="tenant: acme")
    await portico.ok("apply", "-f", "-", stdin="plans: {}\n---\ntenant: acme")
    assert (await plane.get("/v1/plans")).body == {"plans": {}}
    assert [each["tenant"] for each in (await plane.get("/v1/tenants")).body["items"]] == ["acme"]


async def test_a_tenants_token_exports_without_the_plans_and_cannot_apply_any(portico: Portico, plane: Plane) -> None:
    await portico.ok("apply", "-f", "-", stdin=FILE)
    portico.be(plane.url, await plane.token_of("acme"))
    exported = (await portico.ok("export")).out
    assert load_yaml_documents(exported) == EXPORTED[1:2]
    assert "unchanged" in (await portico.ok("apply", "-f", "-", stdin=exported)).out
    refused = await portico("apply", "-f", "-", stdin=f"plans: {{gold: {{}}}}\n---\n{exported}")
    assert (refused.status, refused.out) == (1, "")
    assert refused.lines == [
        "portico: refused: 1 fault; nothing was written",
        "  standard input: document 1: only an operator's token may change the plans",
    ]
    assert (await portico("plans", "get")).lines == ["portico: only an operator's token may look at the plans"]


async def test_plans_that_cannot_be_read_are_named_by_an_export_of_the_others(portico: Portico, plane: Plane) -> None:
    await portico.ok("apply", "-f", "-", stdin=FILE)
    plane.overwrite("@plans", b"garbage of somebody else")
    ended = await portico("export")
    assert (ended.status, load_yaml_documents(ended.out)) == (1, EXPORTED[1:])
    assert ended.lines[0] == "portico: 1 of 3 documents could not be exported"
    assert ended.lines[1].startswith("  @plans: the document of the plans cannot be read: the bytes are not a record")


async def test_wait_tells_what_the_workers_made_of_the_plans(portico: Portico, plane: Plane) -> None:
    await plane.fleet.report(WorkerReport("node-1/0/1", "node-1", 1, "e", 1, 0))
    ended = await portico("apply", "-f", "-", "--wait", "--timeout", "50ms", stdin="plans: {gold: {}}")
    assert ended.status == 1
    assert "@plans: written as revision 1, applied by 0 of 1 workers, not yet by node-1/0/1" in ended.err


async def test_plans_are_shown_and_rolled_back_by_name(portico: Portico, plane: Plane) -> None:
    assert (await portico("plans", "get")).lines == ["portico: there are no plans"]
    await portico.ok("apply", "-f", "-", stdin="plans: {gold: {}}")
    await portico.ok("apply", "-f", "-", stdin="plans: {gold: {}, free: {}}")
    assert load_yaml_documents((await portico.ok("plans", "get")).out) == [{"plans": {"gold": {}, "free": {}}}]
    assert (await portico.ok("plans", "get", "-o", "json")).data == {"plans": {"gold": {}, "free": {}}}
    assert [one["revision"] for one in (await portico.ok("plans", "history", "-o", "json")).data] == [2, 1]
    rolled = await portico.ok("plans", "rollback", "1", "--wait")
    assert rolled.out == "the plans are as they were at revision 1 (revision 3, applied by 0 of 0 workers)\n"
    assert "already" in (await portico.ok("plans", "rollback", "1")).out
    assert (await portico("plans", "rollback", "77")).status == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("tenant", "get", "@plans"), ("tenant", "delete", "@plans"), ("tenant", "create", "@plans"),
        ("history", "@plans"), ("rollback", "@plans", "1"), ("export", "@plans"), ("key", "list", "@plans"),
        ("key", "create", "@plans", "--name", "k"), ("domain", "list", "@plans"), ("route", "list", "@plans"),
        ("token", "create", "--name", "t", "--tenant", "@plans"),
    ],
)  # fmt: skip
async def test_the_plans_are_no_tenant_to_any_noun(portico: Portico, plane: Plane, arguments: tuple[str, ...]) -> None:
    await portico.ok("apply", "-f", "-", stdin="plans: {gold: {}}")
    ended = await portico(*arguments)
    assert (ended.status, ended.lines) == (1, ["portico: there is no tenant '@plans'"])
    assert (await plane.get("/v1/plans")).body == {"plans": {"gold": {}}}
