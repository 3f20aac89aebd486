"""validate, diff, apply, export."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from store.fleet import WorkerReport
from store.model import load_yaml_documents
from tenants.commands.apply import Applied, apply_all, rehearse_all
from tenants.commands.client import AdminClient, Request
from tenants.commands.files import load_files
from tests.tenants.plane import OPERATOR, Plane, document
from tests.tenants.portico import Portico

GOOD = """
tenant: acme
name: Acme Inc.
domains: [shop.acme.com, {host: "*.acme.localhost", verified_by: operator}]
upstreams: {shop: {targets: [http://127.0.0.1:9000, {url: http://127.0.0.1:9001, weight: 2}]}}
auth: {keys: {type: api_key}}
limits: {per-key: {rate: 100/s, by: key}}
routes:
  - {name: api, path: /v1/*, upstream: shop, auth: [keys], limits: [per-key], methods: [GET, POST]}
  - {name: all, path: /*, upstream: shop}
---
tenant: beta
name: "on"
upstreams: {shop: {targets: [http://127.0.0.1:9000]}}
routes: [{name: all, path: /*, upstream: shop}]
"""
BAD = """
tenant: acme
nmae: x
upstreams: {shop: {targets: [http://127.0.0.1:9000]}}
routes: [{name: all, path: /*, upstream: shopp}]
---
tenant: Gamma!
---
tenant: beta
domains: [a.test]
---
tenant: delta
domains: [a.test]
---
tenant: beta
"""


@pytest.fixture
def good(tmp_path: Path) -> str:
    """A file with two good documents."""
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return str(path)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    """A file with faults of every kind."""
    path = tmp_path / "bad.yaml"
    path.write_text(BAD)
    return str(path)


async def test_validate_lists_every_fault_of_every_document_with_its_path(portico: Portico, bad: str) -> None:
    ended = await portico("validate", "-f", bad)
    assert (ended.status, ended.out) == (1, "")
    assert ended.lines[0] == "portico: 5 faults"  # it would write nothing in any case
    rest = "\n".join(ended.lines[1:])
    assert len(ended.lines) == 6
    assert "acme: nmae: unknown field; did you mean 'name'?" in rest
    assert "acme: routes[0].upstream: no upstream named 'shopp'; did you mean 'shop'?" in rest
    assert "Gamma!: tenant:" in rest
    assert "delta: domains[0]: a.test is claimed by beta too" in rest
    assert "beta: tenant: described twice" in rest


async def test_validate_needs_no_server_and_no_token(
    portico: Portico, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTICO_TOKEN")
    portico.be("http://127.0.0.1:1", "")
    ended = await portico.ok("validate", good, "--output", "json")
    assert ended.data == [{"tenant": "acme", "valid": True}, {"tenant": "beta", "valid": True}]
    assert "acme" in (await portico.ok("validate", "-f", good)).out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1"),
        ("a: 1\na: 2", "stands twice"),
        ("- 1", "expected a mapping"),
        ("just text", "expected a mapping"),
        ("", "no document"),
        ("---\n---\n", "no document"),
        ("tenant: &a acme\nname: *a", "alias"),
        ("!!python/object:os.system {}", "line 1"),
    ],
)
async def test_what_is_no_document_is_said_in_one_line(portico: Portico, text: str, said: str) -> None:
    ended = await portico("validate", "-f", "-", stdin=text)
    assert ended.status == 1
    assert said in ended.err
    assert len(ended.lines) <= 2


@pytest.mark.parametrize("arguments", [(), ("-f", "/does/not/exist"), ("-f", "/"), ("-f", "x", "-f", "x")])
async def test_a_file_that_cannot_be_read_is_status_2(portico: Portico, arguments: tuple[str, ...]) -> None:
    ended = await portico("validate", *arguments)
    assert (ended.status, len(ended.lines)) == (2, 1)


async def test_apply_creates_changes_and_leaves_alone(portico: Portico, plane: Plane, good: str) -> None:
    first = await portico.ok("apply", "-f", good, "--output", "json")
    assert [(one["tenant"], one["result"]) for one in first.data] == [("acme", "created"), ("beta", "created")]
    again = await portico.ok("apply", "-f", good, "--output", "json")
    assert [one["result"] for one in again.data] == ["unchanged", "unchanged"]
    assert [one["revision"] for one in again.data] == [one["revision"] for one in first.data]
    changed = await portico.ok("apply", "-f", "-", "-o", "json", stdin=GOOD.replace("Acme Inc.", "Acme AG"))
    assert [one["result"] for one in changed.data] == ["changed", "unchanged"]
    assert (await plane.get("/v1/tenants/acme")).body["name"] == "Acme AG"
    table = (await portico.ok("apply", "-f", good)).out.splitlines()
    assert table[0].split() == ["tenant", "result", "revision", "note"]
    assert table[1].split()[:2] == ["acme", "changed"]


async def test_nothing_is_written_when_one_document_of_many_is_refused(
    portico: Portico, plane: Plane, good: str, bad: str
) -> None:
    ended = await portico("apply", "-f", good, "-f", bad)
    assert (ended.status, ended.out) == (1, "")
    assert "faults; nothing was written" in ended.lines[0]
    await plane.put("other", domains=["shop.acme.com"])
    head = await plane.catalog.head()
    claimed = await portico("apply", "-f", good)
    assert (claimed.status, claimed.out) == (1, "")
    assert claimed.lines[0] == "portico: refused: 1 fault; nothing was written"
    assert (await portico("diff", "-f", good)).lines[0] == "portico: refused: 1 fault"
    assert "already claimed: shop.acme.com" in claimed.err
    assert await plane.catalog.head() == head


async def test_diff_and_dry_run_say_what_would_change_and_write_nothing(
    portico: Portico, plane: Plane, good: str
) -> None:
    await portico.ok("apply", "-f", good)
    head = await plane.catalog.head()
    changed = GOOD.replace("Acme Inc.", "Acme AG").replace("/v1/*", "/v2/*").replace('name: "on"\n', "")
    shown = (await portico.ok("diff", "-f", "-", stdin=changed)).out
    assert shown == (await portico.ok("apply", "--dry-run", "-f", "-", stdin=changed)).out
    assert shown.splitlines() == [
        "acme: change",
        '  ~ name: "Acme Inc." -> "Acme AG"',
        '  ~ routes[api].path: "/v1/*" -> "/v2/*"',
        "beta: change",
        '  - name: "on"',
    ]
    as_data = (await portico.ok("diff", "-f", "-", "-o", "json", stdin=changed)).data
    assert as_data[0]["diff"][0] == {"path": "name", "verb": "changed", "before": "Acme Inc.", "after": "Acme AG"}
    assert await plane.catalog.head() == head


async def test_prune_deletes_what_the_files_do_not_describe_and_only_that(
    portico: Portico, plane: Plane, good: str
) -> None:
    await plane.put("left-over", domains=["old.test"])
    assert "left-over: delete" in (await portico.ok("diff", "-f", good, "--prune")).out
    await portico.ok("apply", "-f", good)
    assert (await plane.get("/v1/tenants/left-over")).status == 200
    pruned = await portico.ok("apply", "-f", good, "--prune", "-o", "json")
    assert [(one["tenant"], one["result"]) for one in pruned.data][-1] == ("left-over", "deleted")
    assert [item["tenant"] for item in (await plane.get("/v1/tenants")).body["items"]] == ["acme", "beta"]
    empty = await portico("apply", "-f", "-", "--prune", stdin="")
    assert empty.status == 1
    assert len((await plane.get("/v1/tenants")).body["items"]) == 2


@pytest.mark.parametrize("output", ["yaml", "json"])
async def test_an_export_feeds_apply_unchanged(portico: Portico, plane: Plane, good: str, output: str) -> None:
    await portico.ok("apply", "-f", good)
    exported = (await portico.ok("export", "--output", output)).out
    again = await portico.ok("apply", "-f", "-", "-o", "json", stdin=exported)
    assert [one["result"] for one in again.data] == ["unchanged", "unchanged"]
    one = (await portico.ok("export", "acme", "--output", output)).out
    await plane.ask("DELETE", "/v1/tenants/acme")
    restored = await portico.ok("apply", "-f", "-", "-o", "json", stdin=one)
    assert [(each["tenant"], each["result"]) for each in restored.data] == [("acme", "created")]
    assert (await portico.ok("export", "--output", output)).out == exported


@pytest.mark.parametrize("output", ["yaml", "json"])
async def test_an_export_holds_all_that_can_be_read_and_names_what_cannot(
    portico: Portico, plane: Plane, good: str, output: str
) -> None:
    await portico.ok("apply", "-f", good)
    for tenant in ("broken", "worse"):
        await plane.put(tenant)
        plane.overwrite(tenant, b"garbage of somebody else")
    ended = await portico("export", "--output", output)
    assert ended.status == 1
    assert ended.lines == [
        "portico: 2 of 4 documents could not be exported",
        "  broken: cannot be read: the bytes are not a record",
        "  worse: cannot be read: the bytes are not a record",
    ]
    again = await portico.ok("apply", "-f", "-", "-o", "json", stdin=ended.out)
    assert [(one["tenant"], one["result"]) for one in again.data] == [("acme", "unchanged"), ("beta", "unchanged")]


async def test_of_tenants_named_those_that_cannot_be_exported_are_named_and_the_others_are_exported(
    portico: Portico, plane: Plane, good: str
) -> None:
    await portico.ok("apply", "-f", good)
    plane.overwrite("beta", b"garbage of somebody else")
    ended = await portico("export", "beta", "nobody", "acme")
    assert (ended.status, [raw["tenant"] for raw in load_yaml_documents(ended.out)]) == (1, ["acme"])
    first, beta, nobody = ended.lines
    assert first == "portico: 2 of 3 documents could not be exported"
    assert "beta" in beta
    assert "cannot be read: the bytes are not a record" in beta
    assert nobody == "  nobody: there is no tenant 'nobody'"
    assert (await portico("export", "nobody")).lines == ["portico: there is no tenant 'nobody'"]
    portico.be(plane.url, "a-token-that-nobody-made")
    assert (await portico("export", "acme", "beta")).lines == ["portico: this token is not known here"]


async def test_prune_leaves_a_tenant_that_cannot_be_read_and_says_how_it_is_mended(
    portico: Portico, plane: Plane, good: str
) -> None:
    await plane.put("broken")
    await plane.put("left-over")
    plane.overwrite("broken", b"garbage of somebody else")
    assert "broken: left as it is, for it cannot be read" in (await portico.ok("diff", "-f", good, "--prune")).out
    ended = await portico("apply", "-f", good, "--prune", "-o", "json")
    results = {one["tenant"]: one["result"] for one in ended.data}
    assert (ended.status, results) == (
        1, {"acme": "created", "beta": "created", "broken": "failed", "left-over": "deleted"}
    )  # fmt: skip
    assert "broken: cannot be read" in ended.err
    assert (await plane.get("/v1/tenants/broken/revisions")).status == 200


async def test_a_tenants_own_export_feeds_its_own_apply(portico: Portico, plane: Plane, good: str) -> None:
    await portico.ok("apply", "-f", good)
    portico.be(plane.url, await plane.token_of("acme"))
    exported = (await portico.ok("export")).out
    assert [raw["tenant"] for raw in load_yaml_documents(exported)] == ["acme"]
    assert "unchanged" in (await portico.ok("apply", "-f", "-", stdin=exported)).out


async def test_export_is_yaml_that_any_reader_takes_the_same_way(portico: Portico, plane: Plane) -> None:
    odd = {"name": "yes: no # 'x' \u00fc \u2028", "limits": {"on": {"rate": "1/s", "by": "ip"}}}
    await plane.put("acme", **odd)
    exported = (await portico.ok("export")).out
    expected = {"tenant": "acme", **document(**odd)}
    assert yaml.safe_load(exported) == load_yaml_documents(exported)[0] == expected


async def test_wait_says_how_many_workers_have_it_and_fails_when_some_have_not(
    portico: Portico, plane: Plane, good: str
) -> None:
    none = await portico.ok("apply", "-f", good, "--wait")
    assert "applied by 0 of 0 workers" in none.out
    await plane.fleet.report(WorkerReport("node-1/0/1", "node-1", 1, "e", 1, 0))
    ended = await portico("apply", "-f", "-", "--wait", "--timeout", "50ms", stdin=GOOD.replace("Acme Inc.", "New"))
    assert ended.status == 1
    assert "not everywhere" in ended.out
    assert "node-1/0/1" in ended.err
    assert (await plane.get("/v1/tenants/acme")).body["name"] == "New"


async def test_a_timeout_without_wait_is_a_usage_error(portico: Portico, good: str) -> None:
    assert (await portico("apply", "-f", good, "--timeout", "1s")).status == 2
    assert (await portico("apply", "-f", good, "--wait", "--timeout", "soon")).status == 2


async def test_a_tenants_token_applies_its_own_documents_alone(portico: Portico, plane: Plane, good: str) -> None:
    await plane.put("beta")
    portico.be(plane.url, await plane.token_of("beta"))
    ended = await portico("apply", "-f", good)
    assert (ended.status, ended.out) == (1, "")
    assert "there is no tenant 'acme'" in ended.err
    assert (await plane.get("/v1/tenants/beta")).body["name"] == "Acme Inc."


async def test_between_the_check_and_the_write_others_may_write_and_each_tenant_is_told_of_apart(
    portico: Portico, plane: Plane, tmp_path: Path
) -> None:
    path = tmp_path / "three.yaml"
    path.write_text("tenant: a\n---\ntenant: b\ndomains: [b.test]\n---\ntenant: c\n")
    await plane.put("old")

    def check_then_apply(others: list[Request]) -> list[Applied]:
        with AdminClient(plane.url, OPERATOR) as client:
            steps = rehearse_all(client, load_files([str(path)], None), prune=True)
            for request in others:
                client.send(request)
            return apply_all(client, steps, {}, 0.0)

    others = [
        Request("PUT", ("tenants", "thief"), body={"domains": ["b.test"]}),
        Request("PATCH", ("tenants", "old"), body={"name": "written since it was listed"}),
    ]
    results = await asyncio.to_thread(check_then_apply, others)
    assert [(one.tenant, one.verb) for one in results] == [
        ("a", "created"),
        ("b", "failed"),
        ("c", "created"),
        ("old", "failed"),
    ]
    assert results[1].note == "already claimed: b.test"
    assert (await plane.get("/v1/tenants/old")).body["name"] == "written since it was listed"


async def test_when_the_connection_is_lost_the_rest_is_not_tried_and_nothing_is_claimed(
    portico: Portico, plane: Plane, good: str
) -> None:
    def check_then_apply() -> list[Applied]:
        with AdminClient(plane.url, OPERATOR) as client:
            steps = rehearse_all(client, load_files([good], None), prune=False)
        with AdminClient("http://127.0.0.1:1", OPERATOR) as nobody:
            return apply_all(nobody, steps, {}, 0.0)

    results = await asyncio.to_thread(check_then_apply)
    assert [(one.tenant, one.verb) for one in results] == [("acme", "failed"), ("beta", "not tried")]
    assert "it may have been written" in results[0].note
    assert not any(one.is_done for one in results)
