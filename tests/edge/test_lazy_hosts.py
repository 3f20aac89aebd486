"""Whose a host is when plans have changed, and tenants are served, or not, by another document than their last."""

from __future__ import annotations

import pytest

from tests.edge.test_lazy import Planned
from tests.edge.test_tenancy import item


def test_a_host_that_the_document_gave_up_is_the_masks_as_soon_as_the_document_can_be_used() -> None:
    held = Planned()
    held.apply(item(1, "x.b.test"), item(2, "*.b.test", tenant="other"), item(3, "a.test", plan="gold"))
    assert held.serves("x.b.test") == ("acme", 1)
    held.put_plans(gold="fast")
    assert held.serves("x.b.test") == ("other", 2)
    assert held.events == ["compile acme 3", "release ('acme', 1)", "compile other 2", "release ('other', 2)"]


@pytest.mark.parametrize("plans", [{"gold": "fast"}, {}], ids=["of use", "of no use"])
def test_a_host_that_is_another_tenants_by_now_stays_there(plans: dict[str, str]) -> None:
    held = Planned()
    held.put_plans(gold="old")
    held.apply(item(1, "a.test", "b.test", plan="gold"), item(2, "b.test", plan="silver"))
    held.apply(item(3, "a.test", tenant="other"))
    held.put_plans(**plans, silver="big")
    held.put_plans(**plans)
    assert held.serves("a.test") == ("other", 3)
    assert held.serves("b.test") == ("acme", 1, *(f"@{name}" for name in plans.values() or ["old"]))
    assert held.serves("a.test") == ("other", 3)


def test_a_host_that_moves_before_the_next_request_stays_where_it_moved() -> None:
    held = Planned()
    held.apply(item(1, "a.test", "b.test"))
    held.put_plans(default="slow")
    held.apply(item(3, "a.test", tenant="other"))
    assert held.serves("b.test") == ("acme", 1, "@slow")
    assert held.serves("a.test") == ("other", 3, "@slow")


@pytest.mark.parametrize("order", [("giver", "taker"), ("taker", "giver")])
def test_a_host_that_moved_from_one_refused_document_to_another_is_its_new_tenants(order: tuple[str, str]) -> None:
    held = Planned()
    first = {"giver": item(1, "a.test", tenant="giver"), "taker": item(2, "b.test", tenant="taker")}
    held.apply(*(first[tenant] for tenant in order))
    held.apply(item(3, "x.test", tenant="giver", plan="gold"), item(4, "a.test", tenant="taker", plan="gold"))
    held.apply(item(5, "y.test", tenant="giver", plan="gold"))
    assert held.serves("a.test") == ("giver", 1)
    held.put_plans(gold="fast")
    assert held.serves("a.test") == ("taker", 4, "@fast")
    assert held.serves("y.test") == ("giver", 5, "@fast")
    assert held.serves("a.test") == ("taker", 4, "@fast")


def test_a_refused_document_takes_no_host_from_one_that_came_after_it() -> None:
    held = Planned()
    held.apply(item(2, "a.test", "b.test", plan="gold"), item(4, "a.test", tenant="other"))
    held.put_plans(gold="fast")  # before it is known that acme has given the host up
    assert held.serves("b.test") == ("acme", 2, "@fast")
    assert held.serves("a.test") == ("other", 4)
