"""Sessions of a tenant's browsers: to be ended, all of them or one subject's."""

from __future__ import annotations

from tenants.api.models import SessionsRevoked
from tenants.api.operations import Call, Operation, Outcome
from tenants.api.queries import WriteQuery


async def revoke_sessions(call: Call) -> Outcome:
    """End sessions: the path's subject's, or all."""
    revoked = await call.service.sessions.revoke(call.actor, call.tenant, call.path.get("subject"))
    return Outcome(SessionsRevoked(subject=revoked.subject, revision=revoked.revision, durable=revoked.durable))


_ALL = "/v1/tenants/{tenant}/sessions"

OPERATIONS = (
    Operation(
        "revokeSessions", "DELETE", _ALL, "End all browser sessions of a tenant", revoke_sessions, "Sessions",
        answer=SessionsRevoked, query=WriteQuery, refusals=(404,), is_write=True,
    ),
    Operation(
        "revokeSubjectSessions", "DELETE", f"{_ALL}/{{subject}}", "End the browser sessions of one subject",
        revoke_sessions, "Sessions", answer=SessionsRevoked, query=WriteQuery, refusals=(404, 422), is_write=True,
    ),
)  # fmt: skip
