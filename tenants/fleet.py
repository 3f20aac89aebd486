"""What the fleet of edge workers has made of the revisions."""

from __future__ import annotations

from dataclasses import dataclass

from store.catalog import Catalog, Head
from store.fleet import Fleet, FleetState, WorkerReport
from tenants.actors import Actor, require_operator


@dataclass(frozen=True, slots=True)
class Nodes:
    """Every live worker, and the head that each is to reach."""

    head: Head
    workers: tuple[WorkerReport, ...]

    @property
    def epoch(self) -> str:
        """Which data it is."""
        return self.head.epoch

    @property
    def revision(self) -> int:
        """The last one of all."""
        return self.head.revision


class FleetView:
    """Operations on the fleet. A tenant's token learns how many workers have its change, and of no other tenant."""

    def __init__(self, catalog: Catalog, fleet: Fleet) -> None:
        self._catalog = catalog
        self._fleet = fleet

    async def head(self) -> Head:
        """Return epoch and revision of the store; for nobody in particular."""
        return await self._catalog.head()

    async def nodes(self, actor: Actor) -> Nodes:
        """Return every live worker, in order of their ids."""
        require_operator(actor, "look at the fleet")
        workers = await self._fleet.workers()
        head = await self._catalog.head()  # after the workers: none of them can be ahead of it
        return Nodes(head, tuple(workers))

    async def wait(self, revision: int, timeout_s: float, tenant: str | None) -> FleetState:
        """Return when every live worker has applied or refused `revision`, or after `timeout_s` seconds.

        `tenant`: whose change it was, so that no other tenant's troubles are told; None when it was nobody's.
        """
        return await self._fleet.wait(revision, timeout_s, tenant)
