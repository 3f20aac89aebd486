"""The control plane, whole: every operation and every rule, whatever face it is asked through.

Each part takes the Actor who asks and refuses by raising: `Refused` and `DocumentError` for what the caller can put
right, the store's own errors for what it cannot.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from store.catalog import Catalog
from store.counts import Counts
from store.fleet import Fleet
from store.secrets import is_expired
from tenants.audit import Audit
from tenants.documents import Documents
from tenants.domains import Domains
from tenants.fleet import FleetView
from tenants.keys import Keys
from tenants.limits import Limits
from tenants.plans import Plans
from tenants.tokens import Tokens
from tenants.writer import Writer


def unix_ms() -> int:
    """The time now, in Unix ms."""
    return time.time_ns() // 1_000_000


class Service:
    """All operations, by noun. It owns nothing: whoever made the store's client closes it.

    `bootstrap_token`: an operator token that exists from the start; ValueError when shorter than 24 characters.
    """

    def __init__(
        self,
        catalog: Catalog,
        fleet: Fleet,
        counts: Counts,
        bootstrap_token: str | None = None,
        now_ms: Callable[[], int] = unix_ms,
    ) -> None:
        writer = Writer(catalog, now_ms)
        self.tokens = Tokens(catalog, now_ms, bootstrap_token)
        self.plans = Plans(catalog, writer)
        self.documents = Documents(catalog, writer, self.tokens, self.plans)
        self.domains = Domains(writer, now_ms)
        self.keys = Keys(catalog, now_ms)
        self.limits = Limits(catalog, counts)
        self.fleet = FleetView(catalog, fleet)
        self.audit = Audit(catalog)
        self._now_ms = now_ms

    def is_expired(self, expires_at_ms: int | None) -> bool:
        """Whether a key or token that ends at this moment (Unix ms) is good no more."""
        return is_expired(expires_at_ms, self._now_ms())
