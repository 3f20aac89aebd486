"""What the control plane can say no to, once: code, HTTP status, whose fault it is, and whether trying again is safe.

`Refused` is the only error that the service raises of its own; errors of the store pass through it unchanged and are
mapped where they enter (`tenants/api/problems.py`). The same table makes the API's problem documents and their
headings at `/v1/docs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from store.model import PLANS, Fault

Blame = Literal["caller", "installation"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of refusal. `can_retry`: the same request may succeed later without being changed."""

    code: str
    status: int
    title: str
    blame: Blame = "caller"
    can_retry: bool = False


MALFORMED = Kind("malformed_request", 400, "The request cannot be understood")
NOT_JSON = Kind("not_json", 400, "The body is not JSON")
UNAUTHENTICATED = Kind("unauthenticated", 401, "A valid token is needed")
FORBIDDEN = Kind("forbidden", 403, "This token may not do that")
NOT_FOUND = Kind("not_found", 404, "There is no such thing")
METHOD_NOT_ALLOWED = Kind("method_not_allowed", 405, "The path exists, but not with this method")
TIMEOUT = Kind("timeout", 408, "The body did not arrive in time", can_retry=True)
DOMAIN_CLAIMED = Kind("domain_claimed", 409, "A domain is already claimed")
PROOF_NOT_SUPPORTED = Kind("proof_not_supported", 409, "Proof of ownership is not supported yet")
PLAN_IN_USE = Kind("plan_in_use", 409, "A plan still has tenants")
TOO_MANY = Kind("too_many", 409, "There are too many of these already")
CONTENDED = Kind("contended", 409, "Others are changing the same tenant at this moment", can_retry=True)
PRECONDITION_FAILED = Kind("precondition_failed", 412, "The document is at another revision")
TOO_LARGE = Kind("too_large", 413, "The body is too large")
WRONG_MEDIA_TYPE = Kind("wrong_media_type", 415, "The body's media type is not one that is understood here")
INVALID = Kind("invalid", 422, "The content breaks the rules")
INTERNAL = Kind("internal", 500, "Something went wrong here", blame="installation")
RECORD_UNREADABLE = Kind("record_unreadable", 500, "The stored record cannot be read", blame="installation")
STORE_UNAVAILABLE = Kind("store_unavailable", 503, "The store cannot be reached", "installation", can_retry=True)
STORE_REFUSED = Kind("store_refused", 503, "The store refuses to work", blame="installation", can_retry=True)

KINDS: tuple[Kind, ...] = (
    MALFORMED, NOT_JSON, UNAUTHENTICATED, FORBIDDEN, NOT_FOUND, METHOD_NOT_ALLOWED, TIMEOUT, DOMAIN_CLAIMED,
    PROOF_NOT_SUPPORTED, PLAN_IN_USE, TOO_MANY, CONTENDED, PRECONDITION_FAILED, TOO_LARGE, WRONG_MEDIA_TYPE, INVALID,
    INTERNAL, RECORD_UNREADABLE, STORE_UNAVAILABLE, STORE_REFUSED,
)  # fmt: skip


class Refused(Exception):  # noqa: N818 - the name says what happened
    """The service says no. `detail` is one sentence for a person; `faults` name places in what was sent.

    Neither holds a secret nor, for a tenant's eyes, the name of another tenant.
    """

    def __init__(self, kind: Kind, detail: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.faults = tuple(faults)


def named(tenant: str) -> str:
    """How a sentence names whose document it is about; under the name that is none are the plans."""
    return "the document of the plans" if tenant == PLANS else f"tenant {tenant!r}"


def unreadable(tenant: str, revision: int, reason: str) -> Refused:
    """What is kept of a tenant's document is no record of ours; `revision` is 0 when it cannot be read either."""
    what = f"{named(tenant)} at revision {revision}" if revision else named(tenant)
    remedy = (
        "write it anew (PUT) or roll it back" if tenant == PLANS else "write it anew (PUT), roll it back or delete it"
    )
    return Refused(RECORD_UNREADABLE, f"{what} cannot be read: {reason}; {remedy}")
