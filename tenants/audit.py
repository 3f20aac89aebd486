"""Who did what: written by the store in the same step as the change itself, read here by operators."""

from __future__ import annotations

import re
from dataclasses import dataclass

from store.catalog import AuditEntry, Catalog
from tenants.actors import Actor, require_operator
from tenants.errors import MALFORMED, Refused


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries, newest first; `cursor` continues with older ones, None at the end."""

    items: tuple[AuditEntry, ...]
    cursor: str | None


class Audit:
    """Operations on the audit trail: it is read, and never written by hand."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def list(self, actor: Actor, cursor: str | None, limit: int) -> AuditPage:
        """Return up to `limit` entries older than `cursor`."""
        require_operator(actor, "read the audit trail")
        if cursor is not None and not re.fullmatch(r"[0-9]{1,20}-[0-9]{1,20}", cursor):
            raise Refused(MALFORMED, "the cursor is not one that a page before has answered")
        found = await self._catalog.audit(cursor, limit + 1)
        items = tuple(found[:limit])
        return AuditPage(items, items[-1].cursor if len(found) > limit else None)
