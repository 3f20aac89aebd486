"""The plans that a worker's tenants are compiled with, and from which revision they are."""

from __future__ import annotations

from typing import Any

import pytest

from edge.client_edge.plan_limits import PlanLimits
from edge.held_plans import HeldPlans
from store.codec import TenantRecord, encode
from store.errors import StoreError
from store.model import PLANS

HOURLY = {"limits": {"all": {"rate": "1/h", "by": "tenant"}}}


def payload(**plans: Any) -> bytes:
    return encode(TenantRecord({"plans": plans}), PLANS)


def test_plans_are_in_effect_at_their_revision_and_said_to_be_different_when_they_are() -> None:
    limits = PlanLimits()
    held = HeldPlans(limits.swap)
    assert held.revision == 0
    assert held.take(3, payload(gold=HOURLY))
    assert (held.revision, len(limits.of("gold"))) == (3, 1)
    assert not held.take(4, payload(gold=HOURLY))
    assert held.revision == 4


def test_plans_that_are_deleted_are_none_and_empty_ones_are_in_effect() -> None:
    limits = PlanLimits()
    held = HeldPlans(limits.swap)
    held.take(3, payload(default=HOURLY))
    assert held.take(0, None)
    assert (held.revision, limits.of(None)) == (0, ())
    assert not held.take(5, payload())
    assert held.revision == 5


@pytest.mark.parametrize(
    "bad",
    [
        b"garbage" * 5,
        payload(gold=HOURLY)[:-1] + b"\xff",
        encode(TenantRecord({"plans": {}}), "acme"),
        encode(TenantRecord({"tenant": "acme"}), PLANS),
        payload(gold={"limits": {"all": {"rate": "fast", "by": "tenant"}}}),
    ],
    ids=["no record", "spoilt", "of another", "no plans", "at fault"],
)
def test_plans_that_cannot_be_used_leave_those_before_in_effect(bad: bytes) -> None:
    limits = PlanLimits()
    held = HeldPlans(limits.swap)
    held.take(3, payload(gold=HOURLY))
    with pytest.raises(StoreError):
        held.take(4, bad)
    assert (held.revision, len(limits.of("gold"))) == (3, 1)
