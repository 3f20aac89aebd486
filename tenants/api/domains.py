"""A tenant's domains: claim, look at, vouch for, give up."""

from __future__ import annotations

from urllib.parse import quote

from tenants.api.models import DomainAnswer, DomainRemoved, DomainWritten, NewDomain, Page
from tenants.api.operations import Call, Operation, Outcome
from tenants.api.queries import DocumentWriteQuery
from tenants.domains import DomainReceipt, NewHost
from tenants.ownership import DomainView
from tenants.times import to_rfc3339


async def list_domains(call: Call) -> Outcome:
    """Answer all domains of the tenant's document."""
    views = await call.service.domains.list(call.actor, call.tenant)
    return Outcome(Page[DomainAnswer](items=[DomainAnswer(**_fields(view)) for view in views]))


async def get_domain(call: Call) -> Outcome:
    """Answer one domain."""
    return Outcome(DomainAnswer(**_fields(await call.service.domains.get(call.actor, call.tenant, call.path["host"]))))


async def add_domain(call: Call) -> Outcome:
    """Claim a host."""
    new: NewDomain = call.body
    host = NewHost(new.host, new.verified_by)
    receipt = await call.service.domains.add(call.actor, call.tenant, host, call.options)
    return _written(call, receipt, is_new=receipt.is_new)


async def verify_domain(call: Call) -> Outcome:
    """Vouch for a host."""
    return _written(call, await call.service.domains.verify(call.actor, call.tenant, call.path["host"], call.options))


async def remove_domain(call: Call) -> Outcome:
    """Give a host up."""
    receipt = await call.service.domains.remove(call.actor, call.tenant, call.path["host"], call.options)
    return Outcome(
        DomainRemoved(
            host=receipt.host,
            revision=receipt.write.revision,
            changed=receipt.write.is_changed,
            dry_run=receipt.write.is_dry_run,
            durable=receipt.write.durable,
        ),
        tag=receipt.write.revision,
    )


def _written(call: Call, receipt: DomainReceipt, *, is_new: bool = False) -> Outcome:
    assert receipt.view is not None
    body = DomainWritten(
        revision=receipt.write.revision,
        durable=receipt.write.durable,
        changed=receipt.write.is_changed,
        dry_run=receipt.write.is_dry_run,
        **_fields(receipt.view),
    )
    created = is_new and not receipt.write.is_dry_run
    location = f"/v1/tenants/{call.tenant}/domains/{quote(receipt.host, safe='*')}" if created else None
    return Outcome(body, 201 if created else 200, tag=receipt.write.revision, location=location)


def _fields(view: DomainView) -> dict[str, object]:
    return {
        "host": view.host,
        "state": view.state,
        "verified_by": view.verified_by,
        "since": to_rfc3339(view.at_ms),
        "served": view.is_served,
        "reason": view.reason,
        "next_step": view.next_step,
        "records": [],
    }


_ALL = "/v1/tenants/{tenant}/domains"
_ONE = f"{_ALL}/{{host}}"

OPERATIONS = (
    Operation(
        "listDomains", "GET", _ALL, "List a tenant's domains and how far each is", list_domains, "Domains",
        answer=Page[DomainAnswer], refusals=(404,),
    ),
    Operation(
        "addDomain", "POST", _ALL, "Claim a host for a tenant", add_domain, "Domains", answer=DomainWritten,
        body=NewDomain, query=DocumentWriteQuery, statuses=(201, 200), refusals=(403, 404, 409, 412, 422),
        is_write=True, is_conditional=True,
    ),
    Operation(
        "getDomain", "GET", _ONE, "Look at one domain", get_domain, "Domains", answer=DomainAnswer, refusals=(404,),
    ),
    Operation(
        "removeDomain", "DELETE", _ONE, "Give a host up; routes that name it must go first", remove_domain, "Domains",
        answer=DomainRemoved, query=DocumentWriteQuery, refusals=(404, 412, 422), is_write=True, is_conditional=True,
    ),
    Operation(
        "verifyDomain", "POST", f"{_ONE}/verify", "Vouch for a domain; operators only until proof by DNS exists",
        verify_domain, "Domains", answer=DomainWritten, query=DocumentWriteQuery, refusals=(404, 409, 412),
        is_write=True, is_conditional=True,
    ),
)  # fmt: skip
