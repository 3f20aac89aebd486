"""How much of a tenant's limits is used now, for each of those they count."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from store.catalog import Catalog
from store.counts import Counts, Wanted
from store.errors import RecordUnreadable
from store.model import DEFAULT_PLAN, PLAN_MARK, PLANS, DocumentError, Limit, Plans, parse_plans, read_document
from store.standing import Standing, standing
from tenants.actors import Actor, no_such_tenant, require_reach
from tenants.errors import MALFORMED, Refused, unreadable


@dataclass(frozen=True, slots=True)
class LimitsPage:
    """The limits in force, by name, and some of their counts, most used first; `at_ms`: when, by Redis' clock.

    `cursor` continues after them, None at the end: a page may hold few or none and not be the last.
    """

    limits: Mapping[str, Limit]
    items: tuple[Standing, ...]
    cursor: str | None
    at_ms: int


class Limits:
    """Looks at counts; nobody's are changed by it."""

    def __init__(self, catalog: Catalog, counts: Counts) -> None:
        self._catalog = catalog
        self._counts = counts

    async def list(self, actor: Actor, tenant: str, wanted: Wanted, cursor: str | None, limit: int) -> LimitsPage:
        """Return up to `limit` counts after `cursor`, of those that are wanted."""
        require_reach(actor, tenant)
        limits = await self._in_force(tenant)
        try:
            found = await self._counts.find(tenant, wanted, cursor, limit)
        except ValueError as error:
            raise Refused(MALFORMED, str(error)) from error
        stand = [standing(each, limits) for each in found.items]
        counted = [each for each in stand if not each.is_at_rest]
        items = sorted(counted, key=lambda each: (-each.share, each.name, each.key))
        shown = {name: each for name, each in limits.items() if wanted.name in (None, name)}
        return LimitsPage(shown, tuple(items), found.cursor, found.now_us // 1000)

    async def _in_force(self, tenant: str) -> Mapping[str, Limit]:
        """Give the limits of the document, and those of the tenant's plan under the names they are counted by."""
        stored = await self._catalog.get(tenant)
        if stored is None:
            raise no_such_tenant(tenant)
        try:
            document = read_document(stored.record().document)
        except (RecordUnreadable, DocumentError) as error:
            raise unreadable(tenant, stored.revision, str(error)) from error
        of_plan = (await self._plans()).get(document.plan or DEFAULT_PLAN, {})
        return {**document.limits, **{f"{PLAN_MARK}{name}": limit for name, limit in of_plan.items()}}

    async def _plans(self) -> Plans:
        """Give the plans; none where they cannot be read: a tenant's own counts are to be seen all the same."""
        stored = await self._catalog.get(PLANS)
        with suppress(RecordUnreadable, DocumentError):
            return {} if stored is None else parse_plans(stored.record().document)
        return {}
