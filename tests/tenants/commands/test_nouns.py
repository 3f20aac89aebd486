"""tenant, domain, route, key, token, nodes, history, rollback, settings: each verb once, for people and programs."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
import yaml

from store.fleet import Refusal, WorkerReport
from store.secrets import parse_api_key, parse_token
from store.settings import SETTINGS
from tenants.commands.client import AdminClient, Request
from tenants.commands.failures import CommandFailed
from tenants.commands.route import change_routes
from tests.fakes.edges import running_edge
from tests.tenants.plane import OPERATOR, Plane, document
from tests.tenants.portico import Portico

ROUTE = ("--path", "/x", "--upstream", "shop")


async def test_a_tenant_is_created_listed_shown_and_deleted(portico: Portico, plane: Plane) -> None:
    assert "tenant acme created" in (await portico.ok("tenant", "create", "acme", "--name", "Acme Inc.")).out
    again = await portico("tenant", "create", "acme")
    assert (again.status, again.lines) == (1, ["portico: tenant 'acme' exists already, at revision 1"])
    assert (await portico.ok("tenant", "list", "-o", "json")).data[0]["tenant"] == "acme"
    heads, row = (await portico.ok("tenant", "list")).out.splitlines()
    assert heads.split() == ["tenant", "name", "state", "domains", "routes", "revision"]
    assert row.split() == ["acme", "Acme", "Inc.", "enabled", "0", "0", "1"]
    assert yaml.safe_load((await portico.ok("tenant", "get", "acme")).out) == {"tenant": "acme", "name": "Acme Inc."}
    assert (await portico.ok("tenant", "get", "acme", "-o", "json")).data["name"] == "Acme Inc."
    assert (await portico.ok("tenant", "delete", "acme", "-o", "json")).data["changed"] is True
    gone = await portico("tenant", "get", "acme")
    assert (gone.status, gone.lines) == (1, ["portico: there is no tenant 'acme'"])
    nobody = await portico.ok("tenant", "list")
    assert (nobody.out, nobody.lines) == ("", ["there are no tenants"])


async def test_a_tenant_that_cannot_be_read_is_listed_as_one_among_the_others(portico: Portico, acme: Plane) -> None:
    await acme.put("beta")
    acme.overwrite("acme", b"garbage of somebody else")
    listed = await portico.ok("tenant", "list")
    assert [line.split() for line in listed.out.splitlines()[1:]] == [
        ["acme", "-", "unreadable", "-", "-", "-"],
        ["beta", "Acme", "Inc.", "enabled", "0", "1", "2"],
    ]
    assert listed.lines == ["acme cannot be read: the bytes are not a record"]
    first = (await portico.ok("tenant", "list", "-o", "json")).data[0]
    assert first == {
        "tenant": "acme", "revision": None, "document": None, "error": "the bytes are not a record"
    }  # fmt: skip
    alone = await portico("tenant", "get", "acme")
    assert (alone.status, alone.out) == (1, "")
    mend = "write it anew (PUT), roll it back or delete it"
    assert alone.lines == [f"portico: tenant 'acme' cannot be read: the bytes are not a record; {mend}"]


async def test_a_tenant_is_created_from_a_file(portico: Portico, plane: Plane) -> None:
    text = yaml.safe_dump(document(domains=["a.test"]))
    assert (await portico.ok("tenant", "create", "acme", "-f", "-", stdin=text)).err == ""
    assert (await plane.get("/v1/tenants/acme")).body["domains"] == ["a.test"]
    wrong = await portico("tenant", "create", "beta", "-f", "-", stdin="- 1\n")
    assert (wrong.status, len(wrong.lines)) == (1, 1)


async def test_a_domain_is_claimed_vouched_for_and_given_up(portico: Portico, acme: Plane) -> None:
    claimed = await portico.ok("domain", "create", "acme", "Shop.acme.com")
    assert "shop.acme.com is pending" in claimed.out
    assert "portico domain verify acme 'shop.acme.com'" in claimed.err
    verified = await portico.ok("domain", "verify", "acme", "shop.acme.com", "-o", "json")
    assert verified.data["served"] is True
    await portico.ok("domain", "create", "acme", "*.acme.app", "--vouch")
    rows = [line.split()[:3] for line in (await portico.ok("domain", "list", "acme")).out.splitlines()[1:]]
    assert rows == [["shop.acme.com", "verified", "yes"], ["*.acme.app", "verified", "yes"]]
    assert "verified" in (await portico.ok("domain", "get", "acme", "*.acme.app")).out
    assert "given up" in (await portico.ok("domain", "delete", "acme", "shop.acme.com")).out
    assert (await portico("domain", "get", "acme", "shop.acme.com")).status == 1


async def test_a_route_is_added_replaced_shown_and_deleted(portico: Portico, acme: Plane) -> None:
    await portico.ok("route", "create", "acme", "x", *ROUTE, "--method", "GET", "--method", "POST")
    twice = await portico("route", "create", "acme", "x", *ROUTE)
    assert (twice.status, "--replace" in twice.err) == (1, True)
    shown = yaml.safe_load((await portico.ok("route", "get", "acme", "x")).out)
    assert shown == {"name": "x", "path": "/x", "methods": ["GET", "POST"], "upstream": "shop"}
    await portico.ok("route", "create", "acme", "x", "--replace", "-f", "-", stdin="path: /y\nupstream: shop\n")
    rows = [line.split()[:4] for line in (await portico.ok("route", "list", "acme")).out.splitlines()[1:]]
    assert rows == [["all", "/*", "any", "all"], ["x", "/y", "any", "all"]]
    wrong = await portico("route", "create", "acme", "z", "--path", "/z", "--upstream", "shopp")
    assert (wrong.status, len(wrong.lines)) == (1, 2)
    assert "did you mean 'shop'?" in wrong.lines[1]
    assert (await portico("route", "create", "acme", "z", "--upstream", "shop")).status == 2
    await portico.ok("route", "delete", "acme", "x")
    assert (await portico("route", "delete", "acme", "x")).lines == ["portico: tenant 'acme' has no route 'x'"]


async def test_a_route_added_while_somebody_else_adds_one_is_added_to_theirs(portico: Portico, acme: Plane) -> None:
    edits = 0

    def edit(routes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal edits
        edits += 1
        if edits <= 2:  # somebody else writes between our reading and our writing
            theirs = {"name": f"theirs-{edits}", "path": f"/theirs/{edits}", "upstream": "shop"}
            with AdminClient(acme.url, OPERATOR) as other:
                other.send(Request("PATCH", ("tenants", "acme"), body={"routes": [*routes, theirs]}))
        return [*routes, {"name": "ours", "path": "/ours", "upstream": "shop"}]

    await asyncio.to_thread(change_routes, "acme", edit, wait=False, timeout=None)
    names = [route["name"] for route in (await acme.get("/v1/tenants/acme")).body["routes"]]
    assert (edits, names) == (3, ["all", "theirs-1", "theirs-2", "ours"])


async def test_who_is_always_too_late_with_a_route_is_told_and_nothing_is_written(
    portico: Portico, acme: Plane
) -> None:
    edits = 0

    def edit(routes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        nonlocal edits
        edits += 1
        with AdminClient(acme.url, OPERATOR) as other:
            other.send(Request("PATCH", ("tenants", "acme"), body={"name": f"faster {edits}"}))
        return []

    with pytest.raises(CommandFailed, match="changed by others"):
        await asyncio.to_thread(change_routes, "acme", edit, wait=False, timeout=None)
    assert len((await acme.get("/v1/tenants/acme")).body["routes"]) == 1


async def test_a_key_is_made_shown_once_and_revoked(portico: Portico, acme: Plane) -> None:
    made = await portico.ok("key", "create", "acme", "--name", "ci", "--expires-in", "90d", "--scope", "a")
    secret = made.out.splitlines()[-1].split()[-1]
    parsed = parse_api_key(secret)
    assert parsed is not None
    assert secret not in made.err
    assert "this once" in made.err
    listed = await portico.ok("key", "list", "acme")
    assert parsed.id in listed.out
    assert secret not in listed.out + (await portico.ok("key", "get", "acme", parsed.id)).out
    assert (await portico.ok("key", "get", "acme", parsed.id, "-o", "json")).data["scopes"] == ["a"]
    assert "revoked" in (await portico.ok("key", "revoke", "acme", parsed.id)).out
    assert (await portico("key", "delete", "acme", parsed.id)).status == 1
    wrong = await portico("key", "create", "acme", "--name", "x", "--expires-in", "soon")
    assert (wrong.status, len(wrong.lines)) == (1, 1)
    assert wrong.lines == ["portico: expires_in: expected a duration longer than zero, such as 90d or 12h"]
    assert "expires_at: never" in (await portico.ok("key", "create", "acme", "--name", "for good")).out
    as_data = (await portico.ok("key", "create", "acme", "--name", "two", "-o", "json")).data
    assert parse_api_key(as_data["secret"]) is not None


async def test_a_list_of_keys_shows_when_each_was_last_used(portico: Portico, acme: Plane) -> None:
    made = (await portico.ok("key", "create", "acme", "--name", "ci", "-o", "json")).data
    assert "last_used_at: -" in re.sub(" +", " ", (await portico.ok("key", "get", "acme", made["id"])).out)
    await acme.catalog.note_used({"acme": [made["id"]]})
    heads, row = (await portico.ok("key", "list", "acme")).out.splitlines()
    assert "last used" in heads
    assert len(re.findall(r"\d\d:\d\d:\d\dZ", row)) == 2  # created, and used


async def test_a_revocation_says_on_how_many_workers_it_is_and_how_fast(portico: Portico, acme: Plane) -> None:
    first, second, third = [
        (await portico.ok("key", "create", "acme", "--name", name, "-o", "json")).data["id"] for name in "abc"
    ]
    async with running_edge(acme.redis_url, node="n1"), running_edge(acme.redis_url, node="n2"):
        said = (await portico.ok("key", "revoke", "acme", first, "--wait", "--timeout", "10s")).out
        assert re.fullmatch(rf"key {first} revoked on 2/2 workers in [1-9]\d* ms \(revision \d+\)\n", said)
        data = (await portico.ok("key", "revoke", "acme", second, "--wait", "-o", "json")).data
        assert (data["applied"], data["workers"], data["lagging"]) == (2, 2, [])
        assert 0 < data["wait_ms"] < 10_000
    assert "wait_ms" not in (await portico.ok("key", "revoke", "acme", third, "-o", "json")).data


async def test_a_revocation_that_is_not_everywhere_names_who_has_not_heard_of_it(portico: Portico, acme: Plane) -> None:
    key_id = (await portico.ok("key", "create", "acme", "--name", "a", "-o", "json")).data["id"]
    head = await acme.catalog.head()
    await acme.fleet.report(WorkerReport("n/7/1", "n", 1, head.epoch, head.revision, 0))
    ended = await portico("key", "revoke", "acme", key_id, "--wait", "--timeout", "50ms")
    assert ended.status == 1
    assert re.search(r"revoked on 0/1 workers in \d+ ms, not yet on n/7/1 \(revision", ended.out)
    assert "not served everywhere" in ended.err


async def test_a_token_is_made_used_and_revoked(portico: Portico, acme: Plane) -> None:
    made = (await portico.ok("token", "create", "--name", "ci", "--tenant", "acme", "-o", "json")).data
    assert parse_token(made["secret"]) is not None
    assert (await portico.ok("token", "get", made["id"], "-o", "json")).data["tenant"] == "acme"
    assert made["id"] in (await portico.ok("token", "list")).out
    portico.be(acme.url, made["secret"])
    assert (await portico.ok("tenant", "list", "-o", "json")).data[0]["tenant"] == "acme"
    forbidden = await portico("nodes")
    assert (forbidden.status, forbidden.lines) == (1, ["portico: only an operator's token may look at the fleet"])
    portico.be(acme.url)
    await portico.ok("token", "revoke", made["id"])
    portico.be(acme.url, made["secret"])
    assert (await portico("tenant", "list")).lines == ["portico: this token is not known here"]
    portico.be(acme.url)
    assert (await portico.ok("token", "create", "--name", "op", "--operator", "-o", "json")).data["kind"] == "operator"
    for whose in ((), ("--tenant", "acme", "--operator")):
        assert (await portico("token", "create", "--name", "x", *whose)).status == 2


async def test_nodes_names_who_refused_what_and_why(portico: Portico, acme: Plane) -> None:
    assert (await portico.ok("nodes")).lines == ["no worker is alive"]
    refusals = (Refusal("acme", 2, "it does not compile", serving=1), Refusal("beta", 3, "cut short"))
    epoch = (await acme.catalog.head()).epoch
    report = WorkerReport("node-1/0/77", "node-1", 77, epoch, 0, 0, refused=refusals, last_error="acme: no")
    await acme.fleet.report(report)
    shown = (await portico.ok("nodes")).out
    assert shown.splitlines()[1].split()[:5] == ["node-1", "0", "77", "0", "1"]
    assert "acme: no" in shown
    assert shown.splitlines()[-2].split() == ["node-1/0/77", "acme", "2", "1", "it", "does", "not", "compile"]
    assert shown.splitlines()[-1].split() == ["node-1/0/77", "beta", "3", "nothing", "cut", "short"]
    as_data = (await portico.ok("nodes", "-o", "json")).data
    assert as_data == (await acme.get("/v1/nodes")).body
    [worker] = as_data["workers"]
    assert worker["worker"] == "node-1/0/77"
    first, second = worker["refused"]
    assert first == {"tenant": "acme", "revision": 2, "reason": "it does not compile", "serving": 1}
    assert second["serving"] is None


async def test_history_and_the_way_back(portico: Portico, acme: Plane) -> None:
    await acme.put("acme", name="Changed")
    rows = (await portico.ok("history", "acme", "-o", "json")).data
    assert [row["revision"] for row in rows] == [2, 1]
    assert (await portico.ok("history", "acme")).out.splitlines()[1].split()[0] == "2"
    assert "as it was at revision 1 (revision 3)" in (await portico.ok("rollback", "acme", "1")).out
    assert (await acme.get("/v1/tenants/acme")).body["name"] == "Acme Inc."
    missing = await portico("rollback", "acme", "99")
    assert (missing.status, missing.lines) == (1, ["portico: tenant 'acme' has no revision 99 to go back to"])
    for wrong in ("zero", "0", "1.5"):
        ended = await portico("rollback", "acme", wrong)
        assert (ended.status, len(ended.lines)) == (2, 1)
        assert f"expected a revision as `portico history` lists them, not {wrong!r}" in ended.err


async def test_every_setting_is_listed_and_no_secret_is_shown(portico: Portico) -> None:
    shown = (await portico.ok("settings", "-o", "json")).data
    assert [row["setting"] for row in shown] == [setting.name for setting in SETTINGS]
    assert OPERATOR not in str(shown)
    table = (await portico.ok("settings")).out
    assert all(setting.env in table for setting in SETTINGS)


@pytest.mark.parametrize("output", ["json", "yaml"])
@pytest.mark.parametrize(
    "command",
    ["tenant list", "tenant get acme", "domain list acme", "route list acme", "route get acme all", "key list acme",
     "token list", "nodes", "history acme", "settings", "export", "export acme"],
)  # fmt: skip
async def test_every_answer_can_be_read_by_a_program(portico: Portico, acme: Plane, command: str, output: str) -> None:
    after = await portico.ok(*command.split(), "--output", output)
    before = await portico.ok("--output", output, *command.split())
    assert yaml.safe_load(after.out) is not None
    assert before.out == after.out
    assert after.err == ""


async def test_sessions_are_revoked_of_one_subject_or_of_all(portico: Portico, acme: Plane) -> None:
    one = await portico.ok("session", "revoke", "acme", "--subject", "auth0|ann/x")
    assert one.out == "the sessions of auth0|ann/x at acme revoked (revision 2)\n"
    everybody = (await portico.ok("session", "revoke", "acme", "--wait", "-o", "json")).data
    assert (everybody["subject"], everybody["revision"], everybody["workers"]) == (None, 3, 0)
    nobody = await portico("session", "revoke", "none")
    assert (nobody.status, nobody.lines) == (1, ["portico: there is no tenant 'none'"])
