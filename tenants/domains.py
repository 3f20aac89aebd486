"""A tenant's domains, one by one: claimed and given up through the document, vouched for beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from store.codec import DomainState, TenantRecord
from store.model import Fault, normalise_host, parse_document
from tenants.actors import Actor, require_reach
from tenants.errors import INVALID, NOT_FOUND, PROOF_NOT_SUPPORTED, Refused
from tenants.ownership import DomainView, host_of, view, vouch
from tenants.writer import NO_OPTIONS, Current, Draft, Receipt, Write, WriteOptions, Writer


@dataclass(frozen=True, slots=True)
class NewHost:
    """A host to claim, and whether an operator vouches for it in the same breath."""

    host: str
    verified_by: Literal["operator"] | None = None


@dataclass(frozen=True, slots=True)
class DomainReceipt:
    """What a write did to a domain; `view` is None when the domain is gone."""

    host: str
    write: Receipt
    view: DomainView | None
    is_new: bool = False


class Domains:
    """Operations on the domains of one tenant. A host is spelled as in the document: lower case, A-labels."""

    def __init__(self, writer: Writer, now_ms: Callable[[], int]) -> None:
        self._writer = writer
        self._now_ms = now_ms

    async def list(self, actor: Actor, tenant: str) -> tuple[DomainView, ...]:
        """Return every domain of the document, in its order."""
        record = await self._record(actor, tenant)
        return tuple(view(tenant, record, state) for state in record.domains.values())

    async def get(self, actor: Actor, tenant: str, host: str) -> DomainView:
        """Return one domain."""
        record = await self._record(actor, tenant)
        return view(tenant, record, _state_of(tenant, record, _spell(tenant, host)))

    async def add(self, actor: Actor, tenant: str, new: NewHost, options: WriteOptions = NO_OPTIONS) -> DomainReceipt:
        """Claim a host for the tenant; one that it has already stays as it is, so that a retry is safe.

        HostClaimed when it belongs to somebody else; `Refused` (403) when a tenant's token vouches for it.
        """
        require_reach(actor, tenant)
        host = _parse_host(new.host)
        was_there = False

        def edit(current: Current) -> Draft:
            nonlocal was_there
            record = current.require_record()
            was_there = host in record.domains
            return Draft(parse_document({**record.document, "domains": _with(record, host, new.verified_by)}))

        receipt = await self._writer.write(Write(actor, tenant, "domain.create", options), edit)
        return _receipt(tenant, host, receipt, is_new=not was_there)

    async def remove(self, actor: Actor, tenant: str, host: str, options: WriteOptions = NO_OPTIONS) -> DomainReceipt:
        """Give a host up: anybody may claim it then. DocumentError when a route of the document still names it."""
        require_reach(actor, tenant)
        name = _spell(tenant, host)

        def edit(current: Current) -> Draft:
            record = current.require_record()
            _state_of(tenant, record, name)
            return Draft(parse_document({**record.document, "domains": _without(record, name)}))

        receipt = await self._writer.write(Write(actor, tenant, "domain.delete", options), edit)
        return _receipt(tenant, name, receipt)

    async def verify(self, actor: Actor, tenant: str, host: str, options: WriteOptions = NO_OPTIONS) -> DomainReceipt:
        """Vouch for a host, as an operator. A tenant cannot prove ownership by itself yet: `Refused` (409) says so."""
        require_reach(actor, tenant)
        name = _spell(tenant, host)
        if not actor.is_operator:
            _state_of(tenant, (await self._writer.read(tenant)).require_record(), name)
            raise Refused(
                PROOF_NOT_SUPPORTED,
                f"proof of ownership by DNS is not supported yet; ask an operator to vouch for {name}",
            )

        def edit(current: Current) -> Draft:
            record = current.require_record()
            state = vouch(_state_of(tenant, record, name), self._now_ms())
            return Draft(parse_document(record.document), {**record.domains, name: state})

        receipt = await self._writer.write(Write(actor, tenant, "domain.verify", options), edit)
        return _receipt(tenant, name, receipt)

    async def _record(self, actor: Actor, tenant: str) -> TenantRecord:
        require_reach(actor, tenant)
        return (await self._writer.read(tenant)).require_record()


def _parse_host(text: str) -> str:
    try:
        return normalise_host(text)
    except ValueError as error:
        raise Refused(INVALID, f"host: {error}", [Fault("host", str(error))]) from error


def _spell(tenant: str, host: str) -> str:
    try:
        return normalise_host(host)
    except ValueError as error:
        raise _no_such_domain(tenant, host) from error


def _state_of(tenant: str, record: TenantRecord, host: str) -> DomainState:
    state = record.domains.get(host)
    if state is None:
        raise _no_such_domain(tenant, host)
    return state


def _with(record: TenantRecord, host: str, verified_by: str | None) -> list[object]:
    entries: list[object] = list(record.document.get("domains", ()))
    entry: object = {"host": host, "verified_by": verified_by} if verified_by else host
    if host not in record.domains:
        return [*entries, entry]
    return [entry if verified_by and host_of(one) == host else one for one in entries]


def _without(record: TenantRecord, host: str) -> list[object]:
    return [entry for entry in record.document.get("domains", ()) if host_of(entry) != host]


def _receipt(tenant: str, host: str, receipt: Receipt, *, is_new: bool = False) -> DomainReceipt:
    record = receipt.record
    state = record.domains.get(host) if record else None
    shown = view(tenant, record, state) if record and state else None
    return DomainReceipt(host, receipt, shown, is_new)


def _no_such_domain(tenant: str, host: str) -> Refused:
    return Refused(NOT_FOUND, f"tenant {tenant!r} has no domain {host[:80]!r}")
