"""The limits that come with tenants' plans, as a worker holds them: swapped as a whole when they change."""

from __future__ import annotations

from collections.abc import Iterator

from edge.client_edge.limits import NamedLimit
from store.errors import StoreError
from store.model import DEFAULT_PLAN, PLAN_MARK, Plans


class PlanLimits:
    """The plans that tenants are compiled with."""

    def __init__(self) -> None:
        self._plans: Plans = {}

    def swap(self, plans: Plans) -> bool:
        """Take other plans; whether they are different. Who was compiled before has to be compiled again then."""
        is_changed = plans != self._plans
        self._plans = plans
        return is_changed

    def of(self, plan: str | None) -> tuple[NamedLimit, ...]:
        """Give the limits of a plan, of the default one where none is named.

        StoreError for a plan that is not there; the default one may be missing, and then limits nobody.
        """
        if plan not in (None, DEFAULT_PLAN) and plan not in self._plans:
            raise StoreError(f"there is no plan {plan!r}")
        return tuple(self._named(plan or DEFAULT_PLAN))

    def _named(self, plan: str) -> Iterator[NamedLimit]:
        for name, limit in self._plans.get(plan, {}).items():
            yield NamedLimit(f"{PLAN_MARK}{name}", limit)
