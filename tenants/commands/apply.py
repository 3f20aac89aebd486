"""Apply, in two passes: ask the server what each document would do, then write; nothing is claimed that is not done.

The plans go first, so that a tenant can be put on a new one in the same breath. They are told of as the tenant
`@plans`, which none can be called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from store.model import PLANS
from tenants.commands.client import AdminClient, ApiRefused, Request
from tenants.commands.failures import REFUSED, CommandFailed, FaultsFound
from tenants.commands.files import Loaded, LoadedFiles, LoadedPlans
from tenants.commands.writes import fleet_words, is_everywhere

CREATE, CHANGE, LEAVE, DELETE, SPARE = "create", "change", "unchanged", "delete", "spare"
CREATED, CHANGED, UNCHANGED, PRUNED = "created", "changed", "unchanged", "deleted"
FAILED, NOT_TRIED, NOT_EVERYWHERE = "failed", "not tried", "not everywhere"


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with one tenant, or the plans. `revision`: what it is at now (0: none).

    `note`: why it is spared.
    """

    tenant: str
    verb: str
    revision: int
    document: dict[str, Any] | None
    differences: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def shown(self) -> dict[str, Any]:
        """The step as data."""
        return {"tenant": self.tenant, "action": self.verb, "revision": self.revision, "diff": self.differences}


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a step."""

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


def rehearse_all(client: AdminClient, loaded: LoadedFiles, *, prune: bool) -> list[Step]:
    """Ask the server what every document would change; FaultsFound lists all that it refuses.

    `prune`: also delete every tenant that the files do not describe; plans go only when the files describe the others.
    """
    steps: list[Step] = []
    faults: list[str] = []
    for one in (*((loaded.plans,) if loaded.plans else ()), *loaded.tenants):
        try:
            steps.append(_rehearse(client, one, loaded.plans))
        except ApiRefused as error:
            faults.extend(f"{one.place}: {line}" for line in (error.faults or (error.message,)))
    if faults:
        raise FaultsFound(faults, "refused: ")
    return [*steps, *(_prunes(client, loaded.tenants) if prune else ())]


def apply_all(
    client: AdminClient, steps: Sequence[Step], query: Mapping[str, str | None], extra_s: float
) -> list[Applied]:
    """Carry the steps out in order. After a refusal the others are tried too; without connection or store none is."""
    results: list[Applied] = []
    for index, step in enumerate(steps):
        try:
            results.append(_carry_out(client, step, query, extra_s))
        except CommandFailed as error:
            is_refusal = isinstance(error, ApiRefused)
            note = error.message if is_refusal else f"{error.message}; it may have been written"
            results.append(Applied(step.tenant, FAILED, None, note, error.faults))
            if not (is_refusal and error.exit_code == REFUSED):
                results.extend(Applied(rest.tenant, NOT_TRIED, None) for rest in steps[index + 1 :])
                break
    return results


def _rehearse(client: AdminClient, one: Loaded | LoadedPlans, plans: LoadedPlans | None) -> Step:
    document = one.dumped()
    tenant, query = PLANS, {"dry_run": "true"}
    if isinstance(one, Loaded):
        tenant = one.tenant
        if plans is not None and one.document.plan is not None:
            query["assume_plan"] = one.document.plan  # it will be there: the plans go first
    answer = client.send(Request("PUT", _path_of(tenant), query, document)).body
    verb = CREATE if answer["created"] else CHANGE if answer["changed"] else LEAVE
    return Step(tenant, verb, answer["revision"], document, answer["diff"])


def _path_of(tenant: str) -> tuple[str, ...]:
    return ("plans",) if tenant == PLANS else ("tenants", tenant)


def _prunes(client: AdminClient, loaded: Sequence[Loaded]) -> list[Step]:
    described = {one.tenant for one in loaded}
    return [_prune(item) for item in client.pages(("tenants",)) if item["tenant"] not in described]


def _prune(item: Mapping[str, Any]) -> Step:
    if item["document"] is None:
        # An export leaves it out, so files without it do not mean that it shall go; its history can bring it back.
        return Step(item["tenant"], SPARE, 0, None, note=f"cannot be read: {item['error']}")
    return Step(item["tenant"], DELETE, item["revision"], None)


def _carry_out(client: AdminClient, step: Step, query: Mapping[str, str | None], extra_s: float) -> Applied:
    path = _path_of(step.tenant)
    if step.verb == SPARE:
        note = f"{step.note}; it was not deleted: roll it back, or delete it by name"
        return Applied(step.tenant, FAILED, None, note)
    if step.verb == DELETE:
        # Only what was listed is deleted: a tenant written since then is not what the files left out.
        headers = {"If-Match": f'"{step.revision}"'}
        request = Request("DELETE", path, query, headers=headers, extra_s=extra_s)
    else:
        request = Request("PUT", path, query, step.document, extra_s=extra_s)
    answer = client.send(request).body
    fleet = {
        name: answer[name] for name in ("applied", "workers", "lagging", "refused", "wait_error") if name in answer
    }
    if not is_everywhere(answer):
        reasons = tuple(f"{one['worker']}: {one['tenant']}: {one['reason']}" for one in answer.get("refused") or ())
        note = f"written as revision {answer['revision']}, {fleet_words(answer)}"
        return Applied(step.tenant, NOT_EVERYWHERE, answer["revision"], note, reasons, fleet)
    return Applied(step.tenant, _verb_of(step, answer), answer["revision"], fleet_words(answer), fleet=fleet)


def _verb_of(step: Step, answer: Mapping[str, Any]) -> str:
    if step.verb == DELETE:
        return PRUNED
    if answer["created"]:
        return CREATED
    return CHANGED if answer["changed"] else UNCHANGED
