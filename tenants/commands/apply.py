"""Apply, in two passes: ask the server what each document would do, then write; nothing is claimed that is not done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenants.commands.client import AdminClient, ApiRefused, Request
from tenants.commands.failures import REFUSED, CommandFailed, FaultsFound
from tenants.commands.files import Loaded
from tenants.commands.writes import fleet_words, is_everywhere

CREATE, CHANGE, LEAVE, DELETE, SPARE = "create", "change", "unchanged", "delete", "spare"
CREATED, CHANGED, UNCHANGED, PRUNED = "created", "changed", "unchanged", "deleted"
FAILED, NOT_TRIED, NOT_EVERYWHERE = "failed", "not tried", "not everywhere"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with one tenant. `revision`: what it is at now (0: none). `note`: why it is spared."""

    tenant: str
    verb: str
    revision: int
    document: dict[str, Any] | None
    differences: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def shown(self) -> dict[str, Any]:
        """The plan as data."""
        return {"tenant": self.tenant, "action": self.verb, "revision": self.revision, "diff": self.differences}


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan."""

    tenant: str
    verb: str
    revision: int | None
    note: str = ""
    details: tuple[str, ...] = ()
    fleet: dict[str, Any] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether the tenant is as the files say, as far as was asked."""
        return self.verb not in (FAILED, NOT_TRIED, NOT_EVERYWHERE)

    def faults(self) -> list[str]:
        """What to tell on standard error, one line each."""
        return [f"{self.tenant}: {self.note or self.verb}", *(f"{self.tenant}: {detail}" for detail in self.details)]

    def shown(self) -> dict[str, Any]:
        """The result as data."""
        shown = {"tenant": self.tenant, "result": self.verb, "revision": self.revision, **self.fleet}
        return shown | {"error": self.note, "errors": list(self.details)} if not self.is_done else shown


def plan_all(client: AdminClient, loaded: Sequence[Loaded], *, prune: bool) -> list[Plan]:
    """Ask the server what every document would change; FaultsFound lists all that it refuses."""
    plans: list[Plan] = []
    faults: list[str] = []
    for one in loaded:
        try:
            plans.append(_plan(client, one))
        except ApiRefused as error:
            faults.extend(f"{one.place}: {line}" for line in (error.faults or (error.message,)))
    if faults:
        raise FaultsFound(faults, "refused: ")
    return [*plans, *(_prunes(client, loaded) if prune else ())]


def apply_all(
    client: AdminClient, plans: Sequence[Plan], query: Mapping[str, str | None], extra_s: float
) -> list[Applied]:
    """Carry the plans out in order. After a refusal the others are tried too; without connection or store none is."""
    results: list[Applied] = []
    for index, plan in enumerate(plans):
        try:
            results.append(_carry_out(client, plan, query, extra_s))
        except CommandFailed as error:
            is_refusal = isinstance(error, ApiRefused)
            note = error.message if is_refusal else f"{error.message}; it may have been written"
            results.append(Applied(plan.tenant, FAILED, None, note, error.faults))
            if not (is_refusal and error.exit_code == REFUSED):
                results.extend(Applied(rest.tenant, NOT_TRIED, None) for rest in plans[index + 1 :])
                break
    return results


def _plan(client: AdminClient, one: Loaded) -> Plan:
    document = one.dumped()
    answer = client.send(Request("PUT", ("tenants", one.tenant), {"dry_run": "true"}, document)).body
    verb = CREATE if answer["created"] else CHANGE if answer["changed"] else LEAVE
    return Plan(one.tenant, verb, answer["revision"], document, answer["diff"])


def _prunes(client: AdminClient, loaded: Sequence[Loaded]) -> list[Plan]:
    described = {one.tenant for one in loaded}
    return [_prune(item) for item in client.pages(("tenants",)) if item["tenant"] not in described]


def _prune(item: Mapping[str, Any]) -> Plan:
    if item["document"] is None:
        # An export leaves it out, so files without it do not mean that it shall go; its history can bring it back.
        return Plan(item["tenant"], SPARE, 0, None, note=f"cannot be read: {item['error']}")
    return Plan(item["tenant"], DELETE, item["revision"], None)


def _carry_out(client: AdminClient, plan: Plan, query: Mapping[str, str | None], extra_s: float) -> Applied:
    path = ("tenants", plan.tenant)
    if plan.verb == SPARE:
        note = f"{plan.note}; it was not deleted: roll it back, or delete it by name"
        return Applied(plan.tenant, FAILED, None, note)
    if plan.verb == DELETE:
        # Only what was listed is deleted: a tenant written since then is not what the files left out.
        headers = {"If-Match": f'"{plan.revision}"'}
        request = Request("DELETE", path, query, headers=headers, extra_s=extra_s)
    else:
        request = Request("PUT", path, query, plan.document, extra_s=extra_s)
    answer = client.send(request).body
    fleet = {
        name: answer[name] for name in ("applied", "workers", "lagging", "refused", "wait_error") if name in answer
    }
    if not is_everywhere(answer):
        reasons = tuple(f"{one['worker']}: {one['tenant']}: {one['reason']}" for one in answer.get("refused") or ())
        note = f"written as revision {answer['revision']}, {fleet_words(answer)}"
        return Applied(plan.tenant, NOT_EVERYWHERE, answer["revision"], note, reasons, fleet)
    return Applied(plan.tenant, _verb_of(plan, answer), answer["revision"], fleet_words(answer), fleet=fleet)


def _verb_of(plan: Plan, answer: Mapping[str, Any]) -> str:
    if plan.verb == DELETE:
        return PRUNED
    if answer["created"]:
        return CREATED
    return CHANGED if answer["changed"] else UNCHANGED
