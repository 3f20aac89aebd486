"""What one worker holds of each tenant: its last good entries, and what was refused since.

A tenant that nobody has called since this worker started is its bytes and the names of its hosts; its document is
decoded and compiled when the first request for one of them is matched. A change of a tenant that is known already is
compiled at once, so that a bad one is refused where it can be told, and the entries before it stay. A change of plans
concerns everybody, and is to hold up nobody: tenants are compiled with them when they are called next.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Set
from dataclasses import replace

from edge.compiler import CompiledTenant
from edge.domains import Table
from edge.errors import EdgeError
from edge.held_plans import HeldPlans
from edge.lazy import Held, LazyTenant, Record, Served
from edge.router import DynamicRouter
from store.changes import Item, Stored
from store.codec import Envelope, open_envelope
from store.digests import GONE, Past, digest_of
from store.errors import StoreError
from store.model import PLANS, Plans
from store.reports import Refusal

log = logging.getLogger("portico.edge")

Compile = Callable[[str, int, Envelope], CompiledTenant]
MAX_REASON_CHARS = 300
NOTHING = -1


class Tenancy:
    """Applies changes of tenants to a router, one tenant at a time; nothing in here waits.

    `compile_record` makes entries of a record: StoreError (DocumentError) when it breaks the rules; whatever else it
    raises is refused as well. `forget_callers` is told of tenants whose API keys or sessions have changed, `swap_plans`
    of plans; it says whether they are different. Whoever applies owes `put_back` while `has_outdated`.
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
        self._held: dict[str, Held] = {}
        self._unusable: dict[str, Record] = {}  # what came last, where it could be opened and not be compiled
        self._outdated: list[str] = []  # who may have been compiled, or refused, with plans that are no more
        self._digests: dict[str, bytes] = {}  # of what was looked at last, taken over or not
        self._wanting: set[str] = set()
        self.refused: dict[str, Refusal] = {}
        self._plans = HeldPlans(swap_plans)

    def __len__(self) -> int:
        return len(self._held)

    def apply(self, item: Item, *, is_lazy: bool, known_to: int = NOTHING) -> None:
        """Take one change over, or refuse it and keep what was there.

        `known_to`: the revision up to which everything has been applied. What is remembered of a tenant's callers stays
        where they have not changed since, so that a change of its document costs none of them a look-up.
        """
        tenant = item.tenant
        if tenant != PLANS and item.callers_revision > known_to:
            self._forget_callers(tenant)
        if item.is_lost:
            self.miss(tenant, item.revision)
            return
        if tenant == PLANS:
            self._take_plans(item)
            return
        if item.payload is None:
            self._drop(tenant)
            return
        digest = digest_of(item.doc_revision, item.payload)
        if self._digests.get(tenant) == digest:
            return  # only its callers changed
        self._digests[tenant] = digest
        self._unusable.pop(tenant, None)
        try:
            record = Record(item.doc_revision, open_envelope(item.payload, tenant))
            self._unusable[tenant] = record
            self._hold(tenant, record, is_lazy=is_lazy)
        except Exception as error:  # whatever a record can do to us, it does it to its own tenant alone
            self._refuse(tenant, item.revision, error)
            return
        self._clear(tenant)

    def _take_plans(self, item: Item) -> None:
        """Have tenants compiled with these plans from now on; plans that cannot be used are refused as a whole."""
        digest = GONE if item.payload is None else digest_of(item.doc_revision, item.payload)
        if item.payload is not None and self._digests.get(PLANS) == digest:
            return  # compared with another store, and the same
        self._digests[PLANS] = digest
        try:
            self._swap_plans(item.doc_revision, item.payload)
        except Exception as error:
            self._refuse(PLANS, item.revision, error)
            return
        self._clear(PLANS)

    def _swap_plans(self, revision: int, payload: bytes | None) -> None:
        """Note who has to be compiled anew; raises what is wrong with the plans."""
        if self._plans.take(revision, payload):
            known = dict.fromkeys((*self._held, *self._unusable))
            self._outdated = [tenant for tenant in known if not self._is_untried(tenant)]

    def _is_untried(self, tenant: str) -> bool:
        """Say whether all there is of a tenant will be compiled with the plans of then anyway."""
        held = self._held.get(tenant)
        return isinstance(held, LazyTenant) and held.is_good and tenant not in self._unusable

    @property
    def has_outdated(self) -> bool:
        """Whether somebody may still be served by plans that are no more."""
        return bool(self._outdated)

    def put_back(self, most: int) -> None:
        """Have up to so many of the outdated tenants compiled anew, with the plans of then, when they are called."""
        for tenant in self._outdated[-most:]:
            self._put_back(tenant)
        del self._outdated[-most:]

    def _put_back(self, tenant: str) -> None:
        """Let a tenant's records stand for its tables: what was refused, for it may be good now, and what is held.

        Nothing is released: it is what serves requests again should no record be of use with these plans.
        """
        held = self._held.get(tenant)
        refused = self._unusable.get(tenant)
        records = [] if refused is None else [refused]
        if held is not None and held.record is not refused:
            records.append(held.record)
        if not records:
            return
        lazy = LazyTenant(tenant, tuple(records), None if held is None else held.good, self)
        tables = lazy.tables()
        self._router.swap(tenant, {host: tables[host] for host in tables if self._may_have(tenant, refused, host)})
        self._held[tenant] = lazy
        if refused is not None:
            self._clear(tenant)

    def _may_have(self, tenant: str, refused: Record | None, host: str) -> bool:
        """Say whether a host is the tenant's: the one it is served on, or one that a later document names than others'.

        What is held may be older than another tenant's document by which the host has moved there.
        """
        owner = self._router.owner(host)
        if owner == tenant:
            return True
        if refused is None or host not in refused.envelope.hosts:
            return False
        return owner is None or self._held[owner].named_at(host) < refused.revision

    def _clear(self, tenant: str) -> None:
        """Forget what was refused of a tenant."""
        self._unusable.pop(tenant, None)
        self._wanting.discard(tenant)
        self.refused.pop(tenant, None)

    def held(self) -> set[str]:
        """Name the tenants that something is held of, and the plans when there are any in effect."""
        return {*self._held, PLANS} if self._plans.revision else set(self._held)

    def refusals(self) -> list[Refusal]:
        """Tell what is refused, the plans first: whoever is shown but some of it needs those most."""
        return sorted(self.refused.values(), key=lambda refusal: refusal.tenant != PLANS)

    def digest(self, tenant: str) -> bytes | None:
        """Tell what the tenant's document came to that was looked at last, None when there was none."""
        return self._digests.get(tenant)

    def has_looked_at(self, tenant: str, digest: bytes) -> None:
        """Note that what comes to this in the store has been taken over or refused, and need not be fetched again."""
        self._digests[tenant] = digest

    def miss(self, tenant: str, revision: int) -> None:
        """Refuse a document, or plans, gone although no change deleted them; what was served of them stays."""
        self._digests[tenant] = GONE
        self._unusable.pop(tenant, None)
        self._refuse(tenant, revision, StoreError("the document is gone from the store, and no change deleted it"))

    def wanting(self) -> tuple[str, ...]:
        """Name those whose record is refused and of which nothing good is held; each once, the plans before tenants."""
        return tuple(sorted(self._wanting, key=lambda tenant: tenant != PLANS))

    def give_up(self, tenant: str) -> None:
        """Leave a tenant without entries, or all without plans, until that changes."""
        self._wanting.discard(tenant)

    def recover(self, tenant: str, past: Past) -> None:
        """Serve the newest of its kept documents that can be used; of the plans, have that in effect."""
        if tenant not in self._wanting:
            return  # it changed while its past was being fetched
        self._wanting.discard(tenant)
        for stored in past.kept:
            try:
                self._take_kept(stored, past.claims)
            except Exception as error:  # as good as none; the one before it may be better
                log.warning("%s: revision %d in its history is no use: %s", _called(tenant), stored.revision, error)
                continue
            self.refused[tenant] = replace(self.refused[tenant], serving=stored.revision)
            log.error("%s is served at revision %d, from its history", _called(tenant), stored.revision)
            return

    def _take_kept(self, stored: Stored, claims: Set[str]) -> None:
        """Hold a document of the history, on those of its hosts that are still the tenant's own."""
        if stored.tenant == PLANS:
            self._swap_plans(stored.revision, stored.payload)
            return
        envelope = stored.envelope()
        hosts = tuple(host for host in envelope.hosts if host in claims)
        self._hold(stored.tenant, Record(stored.revision, replace(envelope, hosts=hosts)))

    def close(self) -> None:
        """Give everything back; the router stays as it is, for requests that are still under way."""
        held, self._held = self._held, {}
        self._unusable.clear()
        self._outdated.clear()
        for each in held.values():
            each.release()

    def compile_now(self, lazy: LazyTenant) -> Mapping[str, Table]:
        """Compile a tenant that is called, and give its tables; EdgeError when there is nothing to serve."""
        # Once is enough: a stranger's broken document must not cost a compilation a request.
        if lazy.is_refused or self._held.get(lazy.tenant) is not lazy:
            raise EdgeError("no_target", "the tenant's document cannot be used")
        served, error = self._newest_usable(lazy)
        if served is not None:
            self._replace(lazy.tenant, self._own(lazy.tenant, served), served)
        elif lazy.good is not None:
            served = lazy.good
            self._router.swap(lazy.tenant, self._own(lazy.tenant, served))
            self._held[lazy.tenant] = served
        else:
            lazy.is_refused = True
        self._tell_of(lazy, error)
        if served is None:
            raise EdgeError("no_target", "the tenant's document cannot be used") from error
        return served.compiled.tables

    def _newest_usable(self, lazy: LazyTenant) -> tuple[Served | None, Exception | None]:
        """Compile the first record that can be; with what was wrong with the newest of all, if it is another."""
        error = None
        for record in lazy.records:
            try:
                return Served(record, self._compile(lazy.tenant, record.revision, record.envelope)), error
            except Exception as found:
                log.warning("tenant %s: revision %d is no use: %s", lazy.tenant, record.revision, found)
                error = error or found
        return None, error

    def _tell_of(self, lazy: LazyTenant, error: Exception | None) -> None:
        """Refuse what could not be compiled; where something newer is refused already, say what is served instead."""
        told = self.refused.get(lazy.tenant)
        if told is None and error is not None:
            self._unusable[lazy.tenant] = lazy.records[0]
            self._refuse(lazy.tenant, lazy.revision, error)
        elif told is not None and told.serving != self._serving(lazy.tenant):
            self._note(told)

    def _own(self, tenant: str, served: Served) -> dict[str, Table]:
        """Leave out the hosts that have become another tenant's since the record came."""
        return {host: table for host, table in served.compiled.tables.items() if self._router.owner(host) == tenant}

    def _hold(self, tenant: str, record: Record, *, is_lazy: bool = False) -> None:
        if is_lazy:
            lazy = LazyTenant(tenant, (record,), None, self)
            self._replace(tenant, lazy.tables(), lazy)
        else:
            served = Served(record, self._compile(tenant, record.revision, record.envelope))
            self._replace(tenant, served.compiled.tables, served)

    def _replace(self, tenant: str, tables: Mapping[str, Table], held: Held) -> None:
        self._router.swap(tenant, tables)
        before = self._held.get(tenant)
        self._held[tenant] = held
        if before is not None:
            before.release()

    def _drop(self, tenant: str) -> None:
        self._router.swap(tenant, {})
        self._digests.pop(tenant, None)
        self._clear(tenant)
        before = self._held.pop(tenant, None)
        if before is not None:
            before.release()

    def _refuse(self, tenant: str, revision: int, error: Exception) -> None:
        if not isinstance(error, StoreError):
            log.error("compiling %s failed", _called(tenant), exc_info=error)
        reason = str(error) or type(error).__name__
        self._note(Refusal(tenant, revision, reason[:MAX_REASON_CHARS]))

    def _note(self, refusal: Refusal) -> None:
        tenant, serving = refusal.tenant, self._serving(refusal.tenant)
        self.refused[tenant] = replace(refusal, serving=serving)
        told = refusal.revision, refusal.reason
        if serving:
            self._wanting.discard(tenant)
            log.error("%s stays at revision %d, as %d is refused: %s", _called(tenant), serving, *told)
        else:
            self._wanting.add(tenant)
            log.error("%s has nothing to serve, as revision %d is refused: %s", _called(tenant), *told)

    def _serving(self, tenant: str) -> int:
        if tenant == PLANS:
            return self._plans.revision
        held = self._held.get(tenant)
        return held.revision if held is not None and held.is_good else 0


def _called(tenant: str) -> str:
    return "the document of the plans" if tenant == PLANS else f"tenant {tenant}"
