"""Sessions of a tenant's browsers: ended from here, at once everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from store.catalog import KEEP, Catalog, Change
from store.errors import NotFound
from store.model import Fault
from store.sessions import Revocations
from tenants.actors import Actor, no_such_tenant, require_reach
from tenants.errors import INVALID, Refused

MAX_SUBJECT_CHARS = 1024


@dataclass(frozen=True, slots=True)
class RevokedSessions:
    """Sessions just ended, those of one subject or (None) all, and the revision by which every worker knows."""

    subject: str | None
    revision: int
    durable: bool | None


class Sessions:
    """Operations on sessions: they begin at the edge, and are listed nowhere."""

    def __init__(self, catalog: Catalog, revocations: Revocations) -> None:
        self._catalog = catalog
        self._revocations = revocations

    async def revoke(self, actor: Actor, tenant: str, subject: str | None = None) -> RevokedSessions:
        """End all sessions of a tenant, or of one subject; `?wait=fleet` tells when no live worker takes one any more.

        The commit leaves the document as it is: it has the workers forget what they have seen. Whoever logs in again
        has a new session; to keep somebody out is the provider's.
        """
        require_reach(actor, tenant)
        if subject is not None and not 0 < len(subject) <= MAX_SUBJECT_CHARS:
            message = f"expected 1 to {MAX_SUBJECT_CHARS} characters"
            raise Refused(INVALID, f"subject: {message}", [Fault("subject", message)])
        if await self._catalog.get(tenant) is None:
            raise no_such_tenant(tenant)
        await self._revocations.revoke(tenant, subject)
        change = Change(
            tenant=tenant, record=KEEP, actor=actor.label, action="session.revoke", detail={"subject": subject}
        )
        try:
            commit = await self._catalog.commit(change, None)
        except NotFound as error:
            raise no_such_tenant(tenant) from error
        return RevokedSessions(subject, commit.revision, commit.durable)
