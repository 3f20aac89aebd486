"""Who may be served under which host: every way a host comes, stays, and goes."""

from __future__ import annotations

from typing import Any

import pytest

from store.codec import DomainState, TenantRecord
from store.model import TenantDocument, parse_document
from tenants.actors import Actor
from tenants.errors import FORBIDDEN, Refused
from tenants.ownership import reconcile, refuse_another_plan, refuse_vouching, view, vouch

OPERATOR, TENANT = Actor("operator", "o"), Actor("tenant", "t", "acme")
NOW_MS, THEN_MS = 2000, 1000
VOUCHED = {"host": "a.test", "verified_by": "operator"}
PENDING_STATE = DomainState("a.test", "pending", None, THEN_MS)
VERIFIED_STATE = DomainState("a.test", "verified", "operator", THEN_MS)


def parsed(domains: list[Any]) -> TenantDocument:
    """A document with these domains."""
    return parse_document({"tenant": "acme", "domains": domains})


def on_plan(plan: str | None) -> TenantRecord:
    """What was recorded of a tenant on this plan."""
    return TenantRecord({"tenant": "acme", **({"plan": plan} if plan else {})})


def record(domains: list[Any], *states: DomainState) -> TenantRecord:
    """What was recorded before."""
    return TenantRecord({"tenant": "acme", "domains": domains}, {state.host: state for state in states})


@pytest.mark.parametrize("actor", [OPERATOR, TENANT])
@pytest.mark.parametrize(
    ("before", "domains", "expected"),
    [
        (None, ["a.test"], ("pending", NOW_MS)),
        (record([]), ["a.test"], ("pending", NOW_MS)),
        (record(["a.test"], PENDING_STATE), ["a.test"], ("pending", THEN_MS)),
        (record(["a.test"], VERIFIED_STATE), ["a.test"], ("verified", THEN_MS)),
        (record(["a.test"], VERIFIED_STATE), [VOUCHED], ("verified", THEN_MS)),
        (record([VOUCHED], VERIFIED_STATE), [VOUCHED], ("verified", THEN_MS)),
        (record(["a.test"], PENDING_STATE), [VOUCHED], ("verified", NOW_MS)),
        (record(["b.test"], DomainState("b.test", "verified", "operator", 1)), ["a.test"], ("pending", NOW_MS)),
    ],
)
def test_the_state_of_a_host_after_a_document(
    actor: Actor, before: TenantRecord | None, domains: list[Any], expected: tuple[str, int]
) -> None:
    states = reconcile(actor, before, parsed(domains), NOW_MS)
    assert set(states) == {"a.test"}
    assert (states["a.test"].state, states["a.test"].at_ms) == expected


def test_only_an_operator_takes_an_operators_word_back_by_leaving_it_out() -> None:
    before = record([VOUCHED], VERIFIED_STATE)
    assert reconcile(OPERATOR, before, parsed(["a.test"]), NOW_MS)["a.test"].state == "pending"
    assert reconcile(TENANT, before, parsed(["a.test"]), NOW_MS)["a.test"].state == "verified"


@pytest.mark.parametrize(
    ("actor", "before", "is_refused"),
    [
        (OPERATOR, None, False),
        (TENANT, None, True),
        (TENANT, record([]), True),
        (TENANT, record(["a.test"], PENDING_STATE), True),
        (TENANT, record(["a.test"], VERIFIED_STATE), True),
        (TENANT, record([VOUCHED], VERIFIED_STATE), False),
    ],
)
def test_who_may_write_verified_by(actor: Actor, before: TenantRecord | None, is_refused: bool) -> None:
    if not is_refused:
        refuse_vouching(actor, before, parsed([VOUCHED]))
        return
    with pytest.raises(Refused, match=r"verified_by \(a\.test\)"):
        refuse_vouching(actor, before, parsed([VOUCHED]))


def test_vouching_twice_is_vouching_once() -> None:
    assert vouch(vouch(PENDING_STATE, NOW_MS), NOW_MS + 1) == DomainState("a.test", "verified", "operator", NOW_MS)


@pytest.mark.parametrize(
    ("state", "enabled", "shown"),
    [
        (PENDING_STATE, True, (False, "awaiting_operator", True)),
        (PENDING_STATE, False, (False, "awaiting_operator", True)),
        (VERIFIED_STATE, True, (True, "operator_vouched", False)),
        (VERIFIED_STATE, False, (False, "tenant_disabled", True)),
    ],
)
def test_what_its_owner_is_told(state: DomainState, enabled: bool, shown: tuple[bool, str, bool]) -> None:
    kept = TenantRecord({"tenant": "acme", "enabled": enabled, "domains": ["a.test"]}, {"a.test": state})
    told = view("acme", kept, state)
    assert (told.is_served, told.reason, told.next_step is not None) == shown


@pytest.mark.parametrize(
    ("actor", "before", "plan", "is_refused"),
    [
        (OPERATOR, None, "gold", False),
        (OPERATOR, on_plan("gold"), None, False),
        (OPERATOR, on_plan("gold"), "silver", False),
        (TENANT, on_plan("gold"), "gold", False),
        (TENANT, on_plan(None), None, False),
        (TENANT, None, None, False),
        (TENANT, on_plan(None), "gold", True),
        (TENANT, on_plan("gold"), "silver", True),
        (TENANT, on_plan("gold"), None, True),
        (TENANT, on_plan(None), "default", True),
        (TENANT, None, "gold", True),
    ],
)
def test_who_may_put_a_tenant_on_which_plan(
    actor: Actor, before: TenantRecord | None, plan: str | None, is_refused: bool
) -> None:
    document = parse_document({"tenant": "acme", **({"plan": plan} if plan else {})})
    if not is_refused:
        refuse_another_plan(actor, before, document)
        return
    with pytest.raises(Refused, match="only an operator's token may change a tenant's plan") as refused:
        refuse_another_plan(actor, before, document)
    assert refused.value.kind is FORBIDDEN
