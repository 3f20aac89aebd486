"""The control plane, whole: every operation and every rule, whatever face it is asked through.

Each part takes the Actor who asks and refuses by raising: `Refused` and `DocumentError` for what the caller can put
right, the store's own errors for what it cannot.
"""

from __future__ import annotations

import time

from store.catalog import Catalog
from store.client import Client
from store.counts import Counts
from store.fleet import Fleet
from store.sealing import Sealer
from store.secrets import is_expired
from store.sessions import Revocations
from tenants.audit import Audit
from tenants.documents import Documents
from tenants.domains import Domains
from tenants.fleet import FleetView
from tenants.keys import Keys
from tenants.limits import Limits
from tenants.plans import Plans
from tenants.sessions import Sessions
from tenants.tokens import Tokens
from tenants.writer import Writer


def unix_ms() -> int:
    """The time now, in Unix ms."""
    return time.time_ns() // 1_000_000


class Service:
    """All operations, by noun. It owns nothing: whoever made the store's client, which the catalog is on, closes it.

    `bootstrap_token`: an operator token that exists from the start; ValueError when shorter than 24 characters.
    `sealer`: seals tenants' secrets; without one, documents that have any are refused.
    """

    def __init__(
        self,
        client: Client,
        catalog: Catalog,
        bootstrap_token: str | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        now_ms = self._now_ms = unix_ms
        revocations = Revocations(client)
        writer = Writer(catalog, now_ms, sealer=sealer)
        self.tokens = Tokens(catalog, now_ms, bootstrap_token)
        self.plans = Plans(catalog, writer)
        self.documents = Documents(catalog, writer, self.tokens, self.plans, revocations)
        self.domains = Domains(writer, now_ms)
        self.keys = Keys(catalog, now_ms)
        self.limits = Limits(catalog, Counts(client))
        self.sessions = Sessions(catalog, revocations)
        self.fleet = FleetView(catalog, Fleet(client))
        self.audit = Audit(catalog)

    def is_expired(self, expires_at_ms: int | None) -> bool:
        """Whether a key or token that ends at this moment (Unix ms) is good no more."""
        return is_expired(expires_at_ms, self._now_ms())
