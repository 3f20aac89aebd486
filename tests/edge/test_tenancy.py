"""What a worker holds of its tenants when changes come, good ones and bad ones."""

from __future__ import annotations

from typing import Any

import pytest

from edge.compiler import CompiledTenant
from edge.errors import EdgeError
from edge.router import DomainTable, DynamicRouter, Hit, Miss
from edge.tables import UNCONDITIONAL, TableRow
from edge.tenancy import Tenancy
from store.changes import Item
from store.codec import Envelope, TenantRecord, encode
from store.model import PathPattern


class Compiler:
    """Compiles a record to one route whose entry is its revision; a document that says "boom" breaks it."""

    def __init__(self) -> None:
        self.tries = 0
        self.compiled: list[tuple[str, int]] = []
        self.released: list[tuple[str, int]] = []

    def __call__(self, tenant: str, revision: int, envelope: Envelope) -> CompiledTenant:
        self.tries += 1
        document = envelope.record().document
        if "boom" in document:
            raise (document["boom"] == "type" and TypeError("blank")) or ValueError("not a document")
        self.compiled.append((tenant, revision))
        row = TableRow(PathPattern.parse("/*"), None, UNCONDITIONAL, 0, (tenant, revision))
        table = DomainTable([row])
        return CompiledTenant(dict.fromkeys(envelope.hosts, table), lambda: self.released.append((tenant, revision)))


class Held:
    """A tenancy and all it is made of."""

    def __init__(self) -> None:
        self.router = DynamicRouter()
        self.compiler = Compiler()
        self.forgotten: list[str] = []
        self.tenancy = Tenancy(self.router, self.compiler, self.forgotten.append)

    def serves(self, host: str) -> Any:
        found = self.router.match(host, "/", "GET")
        return found.entry if isinstance(found, Hit) else found.kind


def item(
    revision: int, *hosts: str, tenant: str = "acme", doc_revision: int | None = None, callers: int = 0, **document: Any
) -> Item:
    domains = [{"host": host, "verified_by": "operator"} for host in hosts]
    payload = encode(TenantRecord({"tenant": tenant, "domains": domains, **document}), tenant)
    return Item(tenant, revision, doc_revision or revision, payload, callers)


def gone(revision: int, tenant: str = "acme") -> Item:
    return Item(tenant, revision, 0, None, revision)


@pytest.mark.parametrize("is_lazy", [True, False])
def test_a_tenant_is_served_at_its_last_revision_and_the_one_before_is_given_back(is_lazy: bool) -> None:
    held = Held()
    held.tenancy.apply(item(1, "a.test", "b.test"), is_lazy=is_lazy)
    assert held.serves("a.test") == ("acme", 1)
    assert held.serves("b.test") == ("acme", 1)
    held.tenancy.apply(item(2, "a.test"), is_lazy=False)
    assert held.serves("a.test") == ("acme", 2)
    assert held.serves("b.test") == "host"
    assert held.compiler.released == [("acme", 1)]


def test_a_tenant_that_nobody_calls_is_not_compiled_and_one_that_is_called_once() -> None:
    held = Held()
    held.tenancy.apply(item(1, "a.test"), is_lazy=True)
    held.tenancy.apply(item(2, "b.test", tenant="other"), is_lazy=True)
    assert held.compiler.compiled == []
    assert [held.serves("a.test") for _ in range(3)] == [("acme", 1)] * 3
    assert held.compiler.compiled == [("acme", 1)]


def test_a_deleted_tenant_is_gone_and_can_come_back() -> None:
    held = Held()
    held.tenancy.apply(item(1, "a.test"), is_lazy=False)
    held.tenancy.apply(gone(2), is_lazy=False)
    assert held.serves("a.test") == "host"
    assert len(held.tenancy) == 0
    held.tenancy.apply(item(3, "a.test"), is_lazy=False)
    assert held.serves("a.test") == ("acme", 3)
    assert held.compiler.released == [("acme", 1)]


def test_keys_that_changed_are_forgotten_and_nothing_is_compiled_anew() -> None:
    held = Held()
    held.tenancy.apply(item(1, "a.test"), is_lazy=False, known_to=0)
    held.tenancy.apply(item(2, "a.test", doc_revision=1, callers=2), is_lazy=False, known_to=1)
    assert held.compiler.compiled == [("acme", 1)]
    assert held.forgotten == ["acme"]


def test_a_document_that_changed_costs_nobody_a_key_unless_one_changed_since_all_was_known() -> None:
    held = Held()
    held.tenancy.apply(item(5, "a.test", callers=3), is_lazy=False, known_to=4)
    assert held.compiler.compiled == [("acme", 5)]
    assert held.forgotten == []
    held.tenancy.apply(item(7, "a.test", callers=6), is_lazy=False, known_to=5)
    held.tenancy.apply(item(8, "a.test", callers=6), is_lazy=False)  # nothing is said of what is known
    held.tenancy.apply(item(9, "a.test"), is_lazy=False)
    held.tenancy.apply(gone(10), is_lazy=False, known_to=9)
    assert held.forgotten == ["acme"] * 4


GOOD = item(2, "a.test")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Item("acme", 3, 3, b"", 0), "cut short"),
        (Item("acme", 3, 3, b"garbage" * 10, 0), "not a record"),
        (Item("acme", 3, 3, (GOOD.payload or b"")[:-1] + b"\xff", 0), "checksum"),
        (Item("acme", 3, 2, (GOOD.payload or b"")[:-1] + b"\xff", 0), "checksum"),
        (Item("acme", 3, 3, b"P\x63" + (GOOD.payload or b"")[2:], 0), "schema 99"),
        (item(3, "a.test", boom="value"), "not a document"),
        (item(3, "a.test", boom="type"), "blank"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_and_the_last_good_one_stays(bad: Item, reason: str) -> None:
    held = Held()
    held.tenancy.apply(GOOD, is_lazy=False)
    held.tenancy.apply(item(1, "b.test", tenant="other"), is_lazy=False)
    held.tenancy.apply(bad, is_lazy=False)
    refusal = held.tenancy.refused["acme"]
    assert (refusal.tenant, refusal.revision) == ("acme", 3)
    assert reason in refusal.reason
    assert held.serves("a.test") == ("acme", 2)
    assert held.serves("b.test") == ("other", 1)
    held.tenancy.apply(item(4, "a.test"), is_lazy=False)
    assert held.serves("a.test") == ("acme", 4)
    assert held.tenancy.refused == {}


def test_a_record_found_bad_when_it_is_first_called_is_refused_then() -> None:
    held = Held()
    held.tenancy.apply(item(1, "a.test", boom="value"), is_lazy=True)
    for _ in range(3):
        with pytest.raises(EdgeError) as caught:
            held.router.match("a.test", "/", "GET")
        assert (caught.value.status, caught.value.code) == (503, "no_target")
    assert held.compiler.tries == 1
    assert held.tenancy.refused["acme"].reason == "not a document"


def test_a_refused_tenant_that_is_deleted_is_refused_no_more() -> None:
    held = Held()
    held.tenancy.apply(Item("acme", 1, 1, b"garbage", 0), is_lazy=False)
    held.tenancy.apply(gone(2), is_lazy=False)
    assert held.tenancy.refused == {}


def test_a_host_that_moved_is_served_for_its_new_tenant_whatever_the_order_of_the_two_changes() -> None:
    held = Held()
    held.tenancy.apply(item(1, "a.test"), is_lazy=False)
    held.tenancy.apply(item(3, "a.test", tenant="other"), is_lazy=False)
    held.tenancy.apply(item(2, "b.test"), is_lazy=False)
    assert held.serves("a.test") == ("other", 3)


def test_closing_gives_everything_back_and_leaves_the_router_to_the_requests_under_way() -> None:
    held = Held()
    held.tenancy.apply(item(1, "a.test"), is_lazy=False)
    held.tenancy.apply(item(2, "b.test", tenant="other"), is_lazy=True)
    held.tenancy.close()
    assert held.compiler.released == [("acme", 1)]
    assert not isinstance(held.router.match("a.test", "/", "GET"), Miss)
