"""Who is asking, and what that lets them reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from store.model import PLANS
from tenants.errors import FORBIDDEN, NOT_FOUND, Refused

ActorKind = Literal["operator", "tenant"]


@dataclass(frozen=True, slots=True)
class Actor:
    """The identity behind a token. `tenant` is the one tenant that a tenant's token reaches, else None."""

    kind: ActorKind
    token_id: str
    tenant: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether this actor reaches everything."""
        return self.kind == "operator"

    @property
    def label(self) -> str:
        """How history and audit name the actor: kind and the token's id, never its secret."""
        return f"{self.kind}:{self.token_id}"


NOBODY = Actor("tenant", "-")
"""Who calls an operation that needs no token: reaches no tenant."""


def no_such_tenant(tenant: str) -> Refused:
    """The one answer for a tenant that does not exist and for one that the actor may not know of."""
    return Refused(NOT_FOUND, f"there is no tenant {tenant[:80]!r}")


def require_reach(actor: Actor, tenant: str) -> None:
    """Refuse with "not found" unless the actor may act on this tenant: that it exists is not theirs to know.

    Nobody acts on the plans as on a tenant, although the store keeps them among the tenants.
    """
    if tenant == PLANS or (not actor.is_operator and actor.tenant != tenant):
        raise no_such_tenant(tenant)


def require_operator(actor: Actor, what: str) -> None:
    """Refuse unless the actor is an operator; `what` completes "only an operator's token may ..."."""
    if not actor.is_operator:
        raise Refused(FORBIDDEN, f"only an operator's token may {what}")
