"""What a worker holds of the plans when changes come, good ones and bad ones."""

from __future__ import annotations

from edge.client_edge.plan_limits import PlanLimits
from edge.router import DynamicRouter
from edge.tenancy import Tenancy
from store.changes import Item, Stored
from store.codec import TenantRecord, encode
from store.digests import GONE, Past, digest_of
from store.model import PLANS
from tests.edge.test_tenancy import Compiler, gone, item


class WithPlans:
    """A tenancy whose plans limit something."""

    def __init__(self) -> None:
        self.limits = PlanLimits()
        self.tenancy = Tenancy(DynamicRouter(), Compiler(), lambda _: None, self.limits.swap)

    def apply(self, applied: Item) -> None:
        self.tenancy.apply(applied, is_lazy=False)

    @property
    def told(self) -> tuple[int, int]:
        """The revision of the plans that is refused, and what is in effect instead."""
        refusal = self.tenancy.refused[PLANS]
        return refusal.revision, refusal.serving

    def limit(self, plan: str | None = None) -> list[str]:
        return [named.name for named in self.limits.of(plan)]


def payload(*limits: str) -> bytes:
    rates = {name: {"rate": "1/h", "by": "tenant"} for name in limits}
    return encode(TenantRecord({"plans": {"default": {"limits": rates}}}), PLANS)


def plans(revision: int, *limits: str) -> Item:
    return Item(PLANS, revision, revision, payload(*limits), 0)


def spoilt(revision: int) -> Item:
    return Item(PLANS, revision, revision, b"garbage" * 5, 0)


def past(*kept: tuple[int, bytes]) -> Past:
    return Past(frozenset(), tuple(Stored(PLANS, *each) for each in kept))


def test_what_the_plans_came_to_is_noted_taken_over_or_not() -> None:
    held = WithPlans()
    held.apply(plans(1, "a"))
    assert held.tenancy.digest(PLANS) == digest_of(1, payload("a"))
    held.apply(spoilt(2))
    assert held.tenancy.digest(PLANS) == digest_of(2, b"garbage" * 5)
    held.apply(gone(3, PLANS))
    assert held.tenancy.digest(PLANS) == GONE


def test_plans_that_are_refused_say_what_is_in_effect_and_are_not_looked_for_in_the_history() -> None:
    held = WithPlans()
    held.apply(plans(1, "a"))
    held.apply(spoilt(2))
    assert held.told == (2, 1)
    assert held.tenancy.wanting() == ()
    held.tenancy.recover(PLANS, past((1, payload("b"))))
    assert held.limit() == ["@a"]
    held.apply(plans(3, "c"))
    assert (held.limit(), held.tenancy.refused) == (["@c"], {})


def test_without_good_plans_the_newest_usable_of_their_history_are_in_effect_and_tenants_outdated() -> None:
    held = WithPlans()
    held.apply(item(1, "a.test"))
    held.apply(spoilt(5))
    assert held.told == (5, 0)
    assert held.tenancy.wanting() == (PLANS,)
    held.tenancy.recover(PLANS, past((5, b"spoilt as well"), (4, payload("new")), (3, payload("old"))))
    assert (held.limit(), held.told) == (["@new"], (5, 4))
    assert held.tenancy.wanting() == ()
    assert held.tenancy.has_outdated


def test_plans_without_a_usable_past_are_refused_and_not_looked_for_again() -> None:
    held = WithPlans()
    held.apply(spoilt(5))
    held.tenancy.recover(PLANS, past((5, b"spoilt as well")))
    assert (held.told, held.tenancy.wanting(), held.limit()) == ((5, 0), (), [])


def test_plans_are_recovered_before_tenants_and_named_first_of_what_is_refused() -> None:
    held = WithPlans()
    for tenant in ("0", "acme", "zeta"):
        held.apply(Item(tenant, 1, 1, b"garbage", 0))
    held.apply(spoilt(2))
    assert held.tenancy.wanting()[0] == PLANS
    assert [refusal.tenant for refusal in held.tenancy.refusals()] == [PLANS, "0", "acme", "zeta"]


def test_plans_are_held_while_they_are_in_effect_and_missing_ones_stay() -> None:
    held = WithPlans()
    assert held.tenancy.held() == set()
    held.apply(plans(1, "a"))
    assert held.tenancy.held() == {PLANS}
    assert len(held.tenancy) == 0
    held.tenancy.miss(PLANS, 7)
    assert (held.told, held.limit()) == ((7, 1), ["@a"])
    assert "gone" in held.tenancy.refused[PLANS].reason
    assert held.tenancy.digest(PLANS) == GONE


def test_missed_plans_that_are_there_again_or_deleted_are_refused_no_more() -> None:
    held = WithPlans()
    held.apply(plans(1, "a"))
    held.tenancy.miss(PLANS, 7)
    held.apply(plans(1, "a"))
    assert (held.tenancy.refused, held.limit()) == ({}, ["@a"])
    held.tenancy.miss(PLANS, 8)
    held.apply(gone(9, PLANS))
    assert (held.tenancy.refused, held.limit(), held.tenancy.held()) == ({}, [], set())


def test_plans_that_have_been_looked_at_are_not_refused_twice() -> None:
    held = WithPlans()
    held.apply(spoilt(2))
    held.tenancy.give_up(PLANS)
    held.apply(spoilt(2))
    assert held.tenancy.wanting() == ()
