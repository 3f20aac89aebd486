"""A tenant in the router: compiled, or as its documents, until the next request for one of its hosts is matched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from multidict import MultiMapping

from edge.compiler import CompiledTenant
from edge.domains import Table
from edge.tables import NO_HOST, Hit, Miss
from store.codec import Envelope


class Record(NamedTuple):
    """A tenant's document as it came, opened and not yet decoded; `revision` is the document's."""

    revision: int
    envelope: Envelope


class Served(NamedTuple):
    """What a record was compiled to, and the record, for the day it has to be compiled with other plans."""

    record: Record
    compiled: CompiledTenant

    @property
    def good(self) -> Served:
        """What serves requests should no record be of use."""
        return self

    @property
    def is_good(self) -> bool:
        """Whether requests can be served with it."""
        return True

    @property
    def revision(self) -> int:
        """The revision of the document that is served."""
        return self.record.revision

    def named_at(self, host: str) -> int:  # noqa: ARG002
        """Tell the revision of the document by which it has a host."""
        return self.revision

    def release(self) -> None:
        """Give back what was taken for it; when no new request can match it."""
        self.compiled.release()


class Compiling(Protocol):
    """Whoever holds lazy tenants: compiles one that is called, and gives its tables by host."""

    def compile_now(self, lazy: LazyTenant) -> Mapping[str, Table]: ...


class LazyTenant:
    """A tenant's records, the newest first: the first that can be compiled is, when the tenant is called.

    `good` is what they were served by before, and are again when none of them is of use; it is held until then.
    """

    __slots__ = ("_holder", "good", "is_refused", "records", "tenant")

    def __init__(self, tenant: str, records: tuple[Record, ...], good: Served | None, holder: Compiling) -> None:
        self.tenant = tenant
        self.records = records
        self.good = good
        self._holder = holder
        self.is_refused = False

    @property
    def record(self) -> Record:
        """The oldest of the records: what was held before another came that was refused."""
        return self.records[-1]

    @property
    def is_good(self) -> bool:
        """Whether requests can be served with it; that is not known before it was called, and assumed."""
        return not self.is_refused

    @property
    def revision(self) -> int:
        """The revision of the document that is tried first."""
        return self.records[0].revision

    def named_at(self, host: str) -> int:
        """Tell the revision of the document by which it has a host."""
        return next((record.revision for record in self.records if host in record.envelope.hosts), 0)

    def table(self, host: str) -> Table | None:
        """Compile the tenant and give the table of one of its hosts; None when what is served now has not this host."""
        return self._holder.compile_now(self).get(host)

    def tables(self) -> dict[str, Table]:
        """Make the tables that stand in the router for those of every host that one of the records names."""
        return {host: LazyTable(self, host) for record in self.records for host in record.envelope.hosts}

    def release(self) -> None:
        """Give back what was served before."""
        if self.good is not None:
            self.good.release()


Held = Served | LazyTenant


class LazyTable:
    """Stands in the router for the table of a host until somebody asks for it."""

    __slots__ = ("_host", "_lazy")

    def __init__(self, lazy: LazyTenant, host: str) -> None:
        self._lazy = lazy
        self._host = host

    def match(self, path: str, method: str, headers: MultiMapping[str], query_string: str) -> Hit | Miss:
        """Compile, and match as the table does."""
        table = self._lazy.table(self._host)
        return NO_HOST if table is None else table.match(path, method, headers, query_string)
