"""What one worker holds of each tenant: its last good entries, and what was refused since.

A tenant that nobody has called since this worker started is its bytes and the names of its hosts; its document is
decoded and compiled when the first request for one of them is matched. A change of a tenant that is known already is
compiled at once, so that a bad one is refused where it can be told, and the entries before it stay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

from multidict import MultiMapping

from edge.compiler import CompiledTenant
from edge.domains import Table
from edge.errors import EdgeError
from edge.router import DynamicRouter, Hit, Miss
from store.changes import Item
from store.codec import Envelope, open_envelope
from store.digests import GONE, Past, digest_of
from store.errors import StoreError
from store.model import PLANS, Plans, parse_plans
from store.reports import Refusal

log = logging.getLogger("portico.edge")

Compile = Callable[[str, int, Envelope], CompiledTenant]
MAX_REASON_CHARS = 300
NOTHING = -1


class Held(Protocol):
    """A tenant's entries in the router, given back by `release` when others have taken their place."""

    def release(self) -> None: ...


class _Holding(NamedTuple):
    """What is in the router of a tenant, and of which revision of its document."""

    revision: int
    held: Held


class Tenancy:
    """Applies changes of tenants to a router, one tenant at a time; nothing in here waits.

    `compile_record` makes entries of a record: StoreError (DocumentError) when it breaks the rules; whatever else it
    raises is refused as well. `forget_callers` is told of tenants whose API keys or sessions have changed, `swap_plans`
    of plans; it says whether they are different, and then `must_recompile` does: who sees it owes `recompile` of all.
    """

    def __init__(
        self,
        router: DynamicRouter,
        compile_record: Compile,
        forget_callers: Callable[[str], None],
        swap_plans: Callable[[Plans], bool] = lambda _: False,
    ) -> None:
        self._router = router
        self._compile = compile_record
        self._forget_callers = forget_callers
        self._held: dict[str, _Holding] = {}
        self._digests: dict[str, bytes] = {}  # of what was looked at last, taken over or not
        self._wanting: set[str] = set()
        self.refused: dict[str, Refusal] = {}
        self._swap_plans = swap_plans
        self.must_recompile = False

    def __len__(self) -> int:
        return len(self._held)

    def apply(self, item: Item, *, is_lazy: bool, known_to: int = NOTHING) -> None:
        """Take one change over, or refuse it and keep what was there.

        `known_to`: the revision up to which everything has been applied. What is remembered of a tenant's callers stays
        where they have not changed since, so that a change of its document costs none of them a look-up.
        """
        tenant = item.tenant
        if tenant == PLANS:
            self._take_plans(item)
            return
        if item.callers_revision > known_to:
            self._forget_callers(tenant)
        if item.payload is None:
            self._drop(tenant)
            return
        digest = digest_of(item.doc_revision, item.payload)
        if self._digests.get(tenant) == digest:
            return  # only its callers changed
        self._digests[tenant] = digest
        try:
            envelope = open_envelope(item.payload, tenant)
            if is_lazy:
                self._hold_lazily(tenant, item.doc_revision, envelope)
            else:
                self._hold(tenant, item.doc_revision, self._compile(tenant, item.doc_revision, envelope))
        except Exception as error:  # whatever a record can do to us, it does it to its own tenant alone
            self._refuse(tenant, item.revision, error)
            return
        self._wanting.discard(tenant)
        self.refused.pop(tenant, None)

    def _take_plans(self, item: Item) -> None:
        """Have tenants compiled with these plans from now on; plans that cannot be used are refused as a whole."""
        try:
            raw = {"plans": {}} if item.payload is None else open_envelope(item.payload, PLANS).record().document
            is_changed = self._swap_plans(parse_plans(raw))
        except Exception as error:
            log.error("plans of revision %d are refused: %s", item.revision, error)
            self.refused[PLANS] = Refusal(PLANS, item.revision, str(error)[:MAX_REASON_CHARS])
            return
        self.refused.pop(PLANS, None)
        self.must_recompile = self.must_recompile or (is_changed and bool(self._held))

    def recompile(self, item: Item, known_to: int) -> None:
        """Compile a tenant again that was compiled, or refused, before the plans changed."""
        holding = self._held.get(item.tenant)
        if holding is None or (isinstance(holding.held, LazyTenant) and is_good(holding.held)):
            return  # it will be compiled with the plans of then
        self._digests.pop(item.tenant, None)
        self.apply(item, is_lazy=isinstance(holding.held, LazyTenant), known_to=known_to)

    def held(self) -> set[str]:
        """Name the tenants that something is held of."""
        return set(self._held)

    def digest(self, tenant: str) -> bytes | None:
        """Tell what the tenant's document came to that was looked at last, None when there was none."""
        return self._digests.get(tenant)

    def has_looked_at(self, tenant: str, digest: bytes) -> None:
        """Note that what comes to this in the store has been taken over or refused, and need not be fetched again."""
        self._digests[tenant] = digest

    def miss(self, tenant: str, revision: int) -> None:
        """Refuse a document that is gone although no change deleted it; what was served of it stays."""
        self._digests[tenant] = GONE
        self._refuse(tenant, revision, StoreError("the document is gone from the store, and no change deleted it"))

    def wanting(self) -> tuple[str, ...]:
        """Name the tenants whose record is refused and of which nothing good is held; each once."""
        return tuple(self._wanting)

    def give_up(self, tenant: str) -> None:
        """Leave a tenant without entries until it changes."""
        self._wanting.discard(tenant)

    def recover(self, tenant: str, past: Past) -> None:
        """Serve the newest of its kept documents that can be used, on those of its hosts that are still its own."""
        if tenant not in self._wanting:
            return  # it changed while its past was being fetched
        self._wanting.discard(tenant)
        for stored in past.kept:
            try:
                envelope = stored.envelope()
                hosts = tuple(host for host in envelope.hosts if host in past.claims)
                compiled = self._compile(tenant, stored.revision, replace(envelope, hosts=hosts))
            except Exception as error:  # as good as none; the one before it may be better
                log.warning("tenant %s: revision %d in its history is no use: %s", tenant, stored.revision, error)
                continue
            self._hold(tenant, stored.revision, compiled)
            self.refused[tenant] = replace(self.refused[tenant], serving=stored.revision)
            log.error("tenant %s is served at revision %d, from its history", tenant, stored.revision)
            return

    def close(self) -> None:
        """Give everything back; the router stays as it is, for requests that are still under way."""
        held, self._held = self._held, {}
        for each in held.values():
            each.held.release()

    def _hold(self, tenant: str, revision: int, compiled: CompiledTenant) -> None:
        self._swap(tenant, compiled.tables, _Holding(revision, compiled))

    def _hold_lazily(self, tenant: str, revision: int, envelope: Envelope) -> None:
        lazy = LazyTenant(tenant, revision, envelope, self)
        self._swap(tenant, {host: LazyTable(lazy, host) for host in envelope.hosts}, _Holding(revision, lazy))

    def compile_now(self, lazy: LazyTenant) -> CompiledTenant:
        """Compile a tenant that is called for the first time; EdgeError when its record cannot be used."""
        if lazy.is_refused:  # once is enough: a stranger's broken document must not cost a compilation a request
            raise EdgeError("no_target", "the tenant's document cannot be used")
        try:
            compiled = self._compile(lazy.tenant, lazy.revision, lazy.envelope)
        except Exception as error:
            lazy.is_refused = True
            self._refuse(lazy.tenant, lazy.revision, error)
            raise EdgeError("no_target", "the tenant's document cannot be used") from error
        holding = self._held.get(lazy.tenant)
        if holding is not None and holding.held is lazy:
            self._hold(lazy.tenant, lazy.revision, compiled)
        return compiled

    def _swap(self, tenant: str, tables: Mapping[str, Table], holding: _Holding) -> None:
        self._router.swap(tenant, tables)
        before = self._held.get(tenant)
        self._held[tenant] = holding
        if before is not None:
            before.held.release()

    def _drop(self, tenant: str) -> None:
        self._router.swap(tenant, {})
        self._digests.pop(tenant, None)
        self._wanting.discard(tenant)
        self.refused.pop(tenant, None)
        before = self._held.pop(tenant, None)
        if before is not None:
            before.held.release()

    def _refuse(self, tenant: str, revision: int, error: Exception) -> None:
        if not isinstance(error, StoreError):
            log.error("compiling tenant %s failed", tenant, exc_info=error)
        reason = str(error) or type(error).__name__
        holding = self._held.get(tenant)
        serving = holding.revision if holding is not None and is_good(holding.held) else 0
        self.refused[tenant] = Refusal(tenant, revision, reason[:MAX_REASON_CHARS], serving=serving)
        if serving:
            log.error("tenant %s stays at revision %d, as %d is refused: %s", tenant, serving, revision, reason)
        else:
            self._wanting.add(tenant)
            log.error("tenant %s has nothing to serve, as revision %d is refused: %s", tenant, revision, reason)


def is_good(held: Held) -> bool:
    """Say whether requests can be served with it; of what nobody has called yet that is not known, and assumed."""
    return not (isinstance(held, LazyTenant) and held.is_refused)


class LazyTenant:
    """A tenant's record, opened and not yet decoded."""

    __slots__ = ("_tenancy", "envelope", "is_refused", "revision", "tenant")

    def __init__(self, tenant: str, revision: int, envelope: Envelope, tenancy: Tenancy) -> None:
        self.tenant = tenant
        self.revision = revision
        self.envelope = envelope
        self.is_refused = False
        self._tenancy = tenancy

    def table(self, host: str) -> Table:
        """Compile the tenant and give the table of one of its hosts."""
        return self._tenancy.compile_now(self).tables[host]

    def release(self) -> None:
        """Give nothing back: nothing was taken."""


class LazyTable:
    """Stands in the router for the table of a host until somebody asks for it."""

    __slots__ = ("_host", "_lazy")

    def __init__(self, lazy: LazyTenant, host: str) -> None:
        self._lazy = lazy
        self._host = host

    def match(self, path: str, method: str, headers: MultiMapping[str], query_string: str) -> Hit | Miss:
        """Compile, and match as the table does."""
        return self._lazy.table(self._host).match(path, method, headers, query_string)
