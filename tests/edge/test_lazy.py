"""Plans that change: whom they concern is compiled with them when called, and served as before when that fails."""

from __future__ import annotations

from typing import Any

import pytest

from edge.client_edge.plan_limits import PlanLimits
from edge.compiler import CompiledTenant
from edge.errors import EdgeError
from edge.router import DomainTable, DynamicRouter, Hit
from edge.tables import UNCONDITIONAL, TableRow
from edge.tenancy import Tenancy
from store.changes import Item, Stored
from store.codec import Envelope, TenantRecord, encode
from store.digests import Past
from store.model import PLANS, PathPattern
from tests.edge.test_tenancy import gone, item


def plans_item(revision: int, **plans: str) -> Item:
    """Make the change that brings plans, each with one limit of this name."""
    limits = {plan: {"limits": {name: {"rate": "1/s", "by": "tenant"}}} for plan, name in plans.items()}
    return Item(PLANS, revision, revision, encode(TenantRecord({"plans": limits}), PLANS), 0)


class Planned:
    """A tenancy whose compiler makes entries of a revision and the limits of its plan, and writes down what it does."""

    def __init__(self) -> None:
        self.router = DynamicRouter()
        self.plans = PlanLimits()
        self.events: list[str] = []
        self.tenancy = Tenancy(self.router, self._compile, lambda _: None, self.plans.swap)
        self._revision = 100

    def _compile(self, tenant: str, revision: int, envelope: Envelope) -> CompiledTenant:
        document = envelope.record().document
        self.events.append(f"compile {tenant} {revision}")
        if "boom" in document:
            raise ValueError("not a document")
        entry = (tenant, revision, *(limit.name for limit in self.plans.of(document.get("plan"))))
        table = DomainTable([TableRow(PathPattern.parse("/*"), None, UNCONDITIONAL, 0, entry)])
        released = f"release {entry}"
        return CompiledTenant(dict.fromkeys(envelope.hosts, table), lambda: self.events.append(released))

    def apply(self, *items: Item, is_lazy: bool = False) -> None:
        """Apply changes as a watcher does, to their end."""
        for each in items:
            self.tenancy.apply(each, is_lazy=is_lazy)
            while self.tenancy.has_outdated:
                self.tenancy.put_back(1)

    def put_plans(self, **plans: str) -> None:
        """Change the plans: each to one limit of this name; forget what was written down before."""
        self.events.clear()
        self._revision += 1
        self.apply(plans_item(self._revision, **plans))

    def serves(self, host: str = "a.test") -> Any:
        """Give the entry that serves a host, the kind of miss, or the code of the error."""
        try:
            found = self.router.match(host, "/", "GET")
        except EdgeError as error:
            return error.code
        return found.entry if isinstance(found, Hit) else found.kind

    def refused(self, tenant: str = "acme") -> tuple[int, str, int] | None:
        """Tell what is refused of a tenant: the revision, the reason, and what is served instead."""
        refusal = self.tenancy.refused.get(tenant)
        return None if refusal is None else (refusal.revision, refusal.reason, refusal.serving)


NO_GOLD = "there is no plan 'gold'"


@pytest.mark.parametrize("is_lazy", [True, False])
def test_plans_are_in_effect_for_the_next_request_and_until_then_nobody_is_compiled(is_lazy: bool) -> None:
    held = Planned()
    held.apply(item(1, "a.test"), item(2, "b.test", tenant="other"), item(3, "c.test", tenant="idle"), is_lazy=is_lazy)
    assert (held.serves("a.test"), held.serves("b.test")) == (("acme", 1), ("other", 2))
    held.put_plans(default="slow")
    assert held.events == []
    assert [held.serves("a.test") for _ in range(3)] == [("acme", 1, "@slow")] * 3
    assert held.events == ["compile acme 1", "release ('acme', 1)"]
    assert held.serves("c.test") == ("idle", 3, "@slow")


def test_plans_that_are_as_before_concern_nobody() -> None:
    held = Planned()
    held.put_plans(default="slow")
    held.apply(item(1, "a.test"))
    held.put_plans(default="slow")
    assert held.serves() == ("acme", 1, "@slow")
    assert held.events == []


def test_plans_that_come_when_nobody_was_called_yet_concern_nobody() -> None:
    held = Planned()
    held.apply(item(1, "a.test"), is_lazy=True)
    held.tenancy.apply(plans_item(2, default="slow"), is_lazy=True)
    assert not held.tenancy.has_outdated
    assert held.serves() == ("acme", 1, "@slow")


def test_plans_that_change_twice_before_a_request_are_compiled_once_and_release_what_was_served_once() -> None:
    held = Planned()
    held.apply(item(1, "a.test"))
    held.put_plans(default="slow")
    held.put_plans(default="fast")
    assert held.serves() == ("acme", 1, "@fast")
    assert held.events == ["compile acme 1", "release ('acme', 1)"]


def test_a_record_of_no_use_with_new_plans_leaves_the_last_good_entries_and_is_refused_once() -> None:
    held = Planned()
    held.put_plans(gold="old")
    held.apply(item(1, "a.test", "*.a.test", plan="gold"))
    held.put_plans()
    assert held.refused() is None
    assert [held.serves(host) for host in ("a.test", "b.a.test", "a.test")] == [("acme", 1, "@old")] * 3
    assert held.refused() == (1, NO_GOLD, 1)
    assert held.tenancy.wanting() == ()
    assert held.events == ["compile acme 1"]
    held.put_plans(gold="new")
    assert held.serves() == ("acme", 1, "@new")
    assert held.refused() is None
    assert held.events == ["compile acme 1", "release ('acme', 1, '@old')"]


def test_a_change_that_was_refused_for_want_of_its_plan_is_served_when_the_plan_is_there() -> None:
    held = Planned()
    held.apply(item(1, "a.test", "b.test"))
    held.apply(item(2, "a.test", "c.test", plan="gold"))
    assert (held.serves(), held.refused()) == (("acme", 1), (2, NO_GOLD, 1))
    held.put_plans(default="slow")
    assert held.serves() == ("acme", 1, "@slow")  # with the plans of now, if not with the document of now
    assert held.refused() == (2, NO_GOLD, 1)
    held.put_plans(gold="fast")
    assert held.serves("c.test") == ("acme", 2, "@fast")
    assert (held.serves("a.test"), held.serves("b.test")) == (("acme", 2, "@fast"), "host")
    assert held.refused() is None
    assert held.events == ["compile acme 2", "release ('acme', 1, '@slow')"]


def test_a_change_refused_before_anybody_called_is_served_when_its_plan_is_there() -> None:
    held = Planned()
    held.apply(item(1, "a.test"), is_lazy=True)
    held.apply(item(2, "c.test", plan="gold"))
    assert held.refused() == (2, NO_GOLD, 1)
    held.put_plans(gold="fast")
    assert (held.serves("c.test"), held.serves("a.test")) == (("acme", 2, "@fast"), "host")


def test_a_change_that_another_has_followed_is_not_tried_any_more() -> None:
    held = Planned()
    held.apply(item(1, "a.test"), item(2, "a.test", plan="gold"))
    held.put_plans(default="slow")
    held.apply(item(3, "a.test", plan="silver"))
    held.put_plans(gold="fast")
    assert held.serves() == ("acme", 1)
    assert held.refused() == (3, "there is no plan 'silver'", 1)


@pytest.mark.parametrize("is_lazy", [True, False])
def test_a_tenant_of_which_nothing_is_served_gets_better_by_its_plan(is_lazy: bool) -> None:
    held = Planned()
    held.apply(item(1, "a.test", plan="gold"), is_lazy=is_lazy)
    assert held.serves() == ("no_target" if is_lazy else "host")
    assert (held.refused(), held.tenancy.wanting()) == ((1, NO_GOLD, 0), ("acme",))
    held.put_plans(default="slow")
    assert (held.refused(), held.tenancy.wanting()) == (None, ())  # nobody knows
    assert [held.serves() for _ in range(3)] == ["no_target"] * 3
    assert (held.refused(), held.tenancy.wanting()) == ((1, NO_GOLD, 0), ("acme",))
    assert held.events == ["compile acme 1"]
    held.put_plans(gold="fast")
    assert held.serves() == ("acme", 1, "@fast")
    assert (held.refused(), held.tenancy.wanting()) == (None, ())


def test_a_document_that_comes_before_the_next_request_takes_the_place_of_the_one_put_back() -> None:
    held = Planned()
    held.apply(item(1, "a.test"))
    held.put_plans(default="slow")
    held.apply(item(2, "a.test"))
    assert held.events == ["compile acme 2", "release ('acme', 1)"]
    assert held.serves() == ("acme", 2, "@slow")


def test_a_document_that_is_refused_before_the_next_request_is_told_and_gets_better_by_its_plan() -> None:
    held = Planned()
    held.apply(item(1, "a.test"), item(2, "a.test", boom="value"))
    held.put_plans(default="slow")
    held.apply(item(3, "a.test", plan="gold"))
    assert held.refused() == (3, NO_GOLD, 2)  # which nobody has tried yet
    assert held.serves() == ("acme", 1, "@slow")
    assert held.refused() == (3, NO_GOLD, 1)
    held.put_plans(gold="fast")
    assert held.serves() == ("acme", 3, "@fast")
    assert held.refused() is None


def test_of_what_was_refused_only_the_last_is_kept() -> None:
    held = Planned()
    held.apply(item(1, "a.test"), item(2, "a.test", plan="gold"), Item("acme", 3, 3, b"garbage", 0))
    told = held.refused()
    assert told is not None
    assert told[0] == 3
    held.put_plans(gold="fast")
    assert held.serves() == ("acme", 1)
    assert held.refused() == told
    assert held.events == ["compile acme 1", "release ('acme', 1)"]


def test_a_tenant_whose_bytes_are_spoilt_when_nothing_is_served_of_it_gets_better_by_the_plan_it_had() -> None:
    held = Planned()
    held.apply(item(1, "a.test", plan="gold"), is_lazy=True)
    assert held.serves() == "no_target"
    held.apply(Item("acme", 2, 2, b"", 0))
    told = held.refused()
    assert (told, held.tenancy.wanting()) == ((2, "the record is cut short", 0), ("acme",))
    held.put_plans(gold="fast")
    assert held.serves() == ("acme", 1, "@fast")
    assert held.refused() == (2, "the record is cut short", 1)
    assert held.tenancy.wanting() == ()


def test_a_document_that_is_gone_does_not_come_back_with_its_plan() -> None:
    held = Planned()
    held.apply(item(1, "a.test"), item(2, "a.test", plan="gold"))
    held.tenancy.miss("acme", 2)
    told = held.refused()
    held.put_plans(gold="fast")
    assert (held.serves(), held.refused()) == (("acme", 1), told)


def test_a_tenant_served_from_its_history_is_served_its_document_when_the_plan_is_there() -> None:
    held = Planned()
    held.apply(item(5, "a.test", plan="gold"), is_lazy=True)
    assert held.serves() == "no_target"
    before = item(3, "a.test", "b.test").payload or b""
    held.tenancy.recover("acme", Past(frozenset({"a.test"}), (Stored("acme", 3, before),)))
    assert (held.serves(), held.refused()) == (("acme", 3), (5, NO_GOLD, 3))
    held.put_plans(default="slow")
    assert (held.serves("a.test"), held.serves("b.test")) == (("acme", 3, "@slow"), "host")
    assert held.refused() == (5, NO_GOLD, 3)
    held.put_plans(gold="fast")
    assert held.serves() == ("acme", 5, "@fast")
    assert held.refused() is None


def test_a_tenant_served_from_its_history_for_bytes_that_are_no_record_goes_on_with_other_plans() -> None:
    held = Planned()
    held.apply(Item("acme", 5, 5, b"garbage", 0))
    before = item(3, "a.test").payload or b""
    held.tenancy.recover("acme", Past(frozenset({"a.test"}), (Stored("acme", 3, before),)))
    told = held.refused()
    held.put_plans(default="slow")
    assert (held.serves(), held.refused()) == (("acme", 3, "@slow"), told)


def test_a_deleted_tenant_gives_back_what_it_was_served_by_before_the_plans() -> None:
    held = Planned()
    held.apply(item(1, "a.test"), item(2, "a.test", plan="gold"))
    held.put_plans(default="slow")
    held.apply(gone(3))
    assert (held.serves(), held.events, len(held.tenancy)) == ("host", ["release ('acme', 1)"], 0)
    held.put_plans(gold="fast")
    assert (held.serves(), held.refused()) == ("host", None)


def test_closing_gives_back_what_was_put_back_and_compiles_nobody_any_more() -> None:
    held = Planned()
    held.apply(item(1, "a.test"), item(2, "b.test", tenant="other"))
    held.put_plans(default="slow")
    held.apply(item(3, "c.test", tenant="late", plan="gold"))
    assert held.serves("b.test") == ("other", 2, "@slow")
    held.events.clear()
    held.tenancy.close()
    assert sorted(held.events) == ["release ('acme', 1)", "release ('other', 2, '@slow')"]
    assert held.serves("a.test") == "no_target"
    assert len(held.events) == 2
    held.put_plans(gold="fast")
    assert (held.serves("a.test"), held.serves("c.test")) == ("no_target", "host")
    assert held.events == []


def test_so_many_are_put_back_at_a_time_and_who_is_called_meanwhile_is_served_the_new_plans() -> None:
    held = Planned()
    tenants = [f"t{number}" for number in range(10)]
    held.apply(*(item(at, f"{tenant}.test", tenant=tenant) for at, tenant in enumerate(tenants, 1)))
    held.events.clear()
    held.tenancy.apply(plans_item(20, default="slow"), is_lazy=False)
    rounds = 0
    while held.tenancy.has_outdated:
        held.tenancy.put_back(4)
        rounds += 1
        for tenant in tenants:
            assert held.serves(f"{tenant}.test")[0] == tenant
    assert rounds == 3
    assert all(held.serves(f"{tenant}.test")[2:] == ("@slow",) for tenant in tenants)
    assert len([event for event in held.events if event.startswith("compile")]) == 10
