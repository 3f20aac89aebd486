"""Plans: limits that an operator sets for every tenant of a plan, on every route; no tenant can have more.

    plans:
      default: {limits: {per-key: {rate: 10/s, by: key}}}        # for tenants that name none
      gold: {limits: {per-key: {rate: 1000/s, by: key}, month: {quota: 1000000/month, by: tenant}}}

A tenant's own limits come besides: whoever asks has to be admitted by all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from store.model.document import dump_document, parse_document
from store.model.faults import DocumentError, Fault, did_you_mean, path_of, shown
from store.model.limits import ConcurrentLimit, Limit
from store.model.parts import NAME_FORM, Name

PLANS = "@plans"
"""What stands for a tenant's name where plans are kept: no tenant is called so."""
DEFAULT_PLAN = "default"
PLAN_MARK = "@"
"""Before the name of a plan's limit where it is counted and told, so that it is none of the tenant's own."""
MAX_PLANS = 100

Plans = Mapping[str, Mapping[str, Limit]]
_NAME = TypeAdapter(Name)


def parse_plans(raw: object) -> Plans:
    """Check the plans as a whole; DocumentError names every fault, each with its path."""
    plans = raw.get("plans") if isinstance(raw, Mapping) and set(raw) == {"plans"} else None
    if not isinstance(plans, Mapping):
        raise DocumentError([Fault("plans", "expected a mapping of plans, and nothing besides it")])
    if len(plans) > MAX_PLANS:
        raise DocumentError([Fault("plans", f"has more than {MAX_PLANS} entries")])
    parsed: dict[str, Mapping[str, Limit]] = {}
    faults: list[Fault] = []
    for name, plan in plans.items():
        if not _is_name(name):
            faults.append(Fault(path_of(("plans", str(name))), f"is no name: expected {NAME_FORM}"))
        elif not isinstance(plan, Mapping) or set(plan) - {"limits"}:
            faults.append(Fault(path_of(("plans", name)), "expected a mapping with 'limits' alone"))
        else:
            parsed[name], found = _limits(plan.get("limits", {}))
            faults += [Fault(f"{path_of(('plans', name))}.{fault.path}", fault.message) for fault in found]
    if faults:
        raise DocumentError(faults)
    return parsed


def dump_plans(plans: Plans) -> dict[str, Any]:
    """Write plans in the spelling they are read in, defaults left out."""
    return {"plans": {name: _dumped(limits) for name, limits in plans.items()}}


def missing_plan(plan: object, plans: Collection[str]) -> Fault | None:
    """Say what is wrong with a document that names this plan, where there are these; the default one is always there.

    None when nothing is. What is no name is nothing to look up: that is a fault of another kind.
    """
    if not isinstance(plan, str) or plan == DEFAULT_PLAN or plan in plans:
        return None
    return Fault("plan", f"there is no plan {shown(plan)}{did_you_mean(plan, plans)}")


def _is_name(name: object) -> bool:
    try:
        _NAME.validate_python(name)
    except ValidationError:
        return False
    return True


def _limits(raw: object) -> tuple[Mapping[str, Limit], list[Fault]]:
    """Read limits as a tenant's are read."""
    try:
        limits = parse_document({"tenant": "plan", "limits": raw}).limits
    except DocumentError as error:
        return {}, list(error.faults)
    return limits, list(_besides(limits))


def _besides(limits: Mapping[str, Limit]) -> Iterator[Fault]:
    """Find what means nothing in a plan, or what its tenants could not be held to."""
    for name, limit in limits.items():
        if limit.every_route:
            yield Fault(path_of(("limits", name, "every_route")), "the limits of a plan are of every route anyway")
        if not isinstance(limit, ConcurrentLimit) and not limit.cost.is_fixed:
            yield Fault(path_of(("limits", name, "cost")), "what a request costs a plan is a number")


def _dumped(limits: Mapping[str, Limit]) -> dict[str, Any]:
    dumped = dump_document(parse_document({"tenant": "plan"}).model_copy(update={"limits": dict(limits)}))
    return {"limits": dumped["limits"]} if limits else {}
