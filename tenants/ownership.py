"""Who may be served under which host, decided purely.

A host is *claimed* by the tenant whose document lists it, and *verified* once an operator has vouched for it, in the
document (`verified_by: operator`) or by name (`verify`). What an operator vouched for stays vouched for as long as the
tenant keeps listing the host; an operator takes the word back by writing the document without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from store.codec import SERVED_STATES, DomainState, TenantRecord
from store.model import TenantDocument
from tenants.actors import Actor
from tenants.errors import FORBIDDEN, Refused

PENDING = "pending"


@dataclass(frozen=True, slots=True)
class DomainView:
    """One domain as its owner sees it: its state, whether its routes are served, why, and what to do next."""

    host: str
    state: str
    verified_by: str | None
    at_ms: int
    is_served: bool
    reason: str
    next_step: str | None


def host_of(entry: object) -> str:
    """The host of an entry of a dumped document's `domains`: a plain name, or an object with more to say."""
    return str(entry["host"]) if isinstance(entry, dict) else str(entry)


def vouched_hosts(document: Mapping[str, object] | None) -> frozenset[str]:
    """The hosts that a dumped document marks `verified_by: operator`."""
    domains = document.get("domains") if document else None
    entries = domains if isinstance(domains, list) else []
    return frozenset(
        host_of(entry) for entry in entries if isinstance(entry, dict) and entry.get("verified_by") is not None
    )


def refuse_vouching(actor: Actor, before: TenantRecord | None, document: TenantDocument) -> None:
    """Refuse a tenant's document that vouches for a host which no operator's document vouched for already.

    Keeping what is there is not vouching: a tenant's own export must feed its `apply` unchanged.
    """
    if actor.is_operator:
        return
    said = {domain.host for domain in document.domains if domain.verified_by is not None}
    new = sorted(said - vouched_hosts(before.document if before else None))
    if new:
        raise Refused(FORBIDDEN, f"only an operator's token may write verified_by ({', '.join(new)})")


def refuse_another_plan(actor: Actor, before: TenantRecord | None, document: TenantDocument) -> None:
    """Refuse a tenant's document that names another plan than the one an operator has put the tenant on."""
    if not actor.is_operator and document.plan != (before.document.get("plan") if before else None):
        raise Refused(FORBIDDEN, "only an operator's token may change a tenant's plan")


def reconcile(
    actor: Actor, before: TenantRecord | None, document: TenantDocument, now_ms: int
) -> dict[str, DomainState]:
    """Return the state of every host of `document`, given what was recorded before it."""
    vouched_before = vouched_hosts(before.document if before else None)
    states = before.domains if before else {}
    result: dict[str, DomainState] = {}
    for domain in document.domains:
        state = states.get(domain.host) or DomainState(domain.host, PENDING, None, now_ms)
        if domain.verified_by is not None:
            state = vouch(state, now_ms)
        elif actor.is_operator and domain.host in vouched_before:
            state = DomainState(domain.host, PENDING, None, now_ms)
        result[domain.host] = state
    return result


def vouch(state: DomainState, now_ms: int) -> DomainState:
    """The state after an operator's word; the same one when the operator had given it before."""
    if state.state in SERVED_STATES:
        return state
    return DomainState(state.host, "verified", "operator", now_ms)


def view(tenant: str, record: TenantRecord, state: DomainState) -> DomainView:
    """Say of one domain what its owner needs to know."""
    reason, next_step = "operator_vouched", None
    if state.state not in SERVED_STATES:
        reason = "awaiting_operator"
        next_step = f"an operator must vouch for it: portico domain verify {tenant} '{state.host}'"
    elif not record.document.get("enabled", True):
        reason, next_step = "tenant_disabled", "set enabled: true in the tenant's document"
    return DomainView(
        host=state.host,
        state=state.state,
        verified_by=state.verified_by,
        at_ms=state.at_ms,
        is_served=state.host in record.served_hosts(),
        reason=reason,
        next_step=next_step,
    )
