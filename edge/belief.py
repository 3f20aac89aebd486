"""Whether to believe Redis: only as the store that this worker follows, and that it lacks something only after a look.

A store that was emptied, set back or replaced lacks most keys and sessions. The watcher tells that within a second; a
caller who comes before it must not be called a stranger, nor be remembered as one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edge.watcher import Position, regression
from store.catalog import Catalog
from store.errors import StoreUnavailable
from store.secrets import ApiKeyRecord


class Followed(Protocol):
    """As much of a watcher as this asks."""

    @property
    def alarm(self) -> str | None: ...

    @property
    def position(self) -> Position: ...


class Belief:
    """Believes a store as far as `watcher` follows it; `catalog` asks it, on behalf of requests."""

    def __init__(self, catalog: Catalog, watcher: Callable[[], Followed]) -> None:
        self._catalog = catalog
        self._watcher = watcher

    def fault(self) -> str | None:
        """Say why nothing that the store says is believed; None as long as nothing is known against it."""
        return self._watcher().alarm

    async def confirm(self) -> None:
        """Return when the store is the one that is followed, whoever has looked when. Raises StoreError when not.

        To be asked after the store has said that there is nothing: what was emptied since then does not matter.
        """
        position = self._watcher().position
        fault = regression(position, await self._catalog.head())
        if fault is not None:
            raise StoreUnavailable(fault)

    async def get_key(self, tenant: str, key_id: str) -> ApiKeyRecord | None:
        """Give an API key, None when there is no such key; StoreError when nobody can tell."""
        fault = self.fault()
        if fault is not None:
            raise StoreUnavailable(fault)
        record = await self._catalog.get_key(tenant, key_id)
        if record is None:
            await self.confirm()
        return record
