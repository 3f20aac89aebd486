"""The plans that a worker's tenants are compiled with: the last that could be used, whatever came after them."""

from __future__ import annotations

from collections.abc import Callable

from store.codec import open_envelope
from store.model import PLANS, Plans, parse_plans


class HeldPlans:
    """Takes plans over as a whole or not at all; `revision` is that of those in effect, 0 when there are none.

    `swap` has tenants compiled with other plans from then on, and says whether they are different.
    """

    def __init__(self, swap: Callable[[Plans], bool]) -> None:
        self._swap = swap
        self.revision = 0

    def take(self, revision: int, payload: bytes | None) -> bool:
        """Take the plans of a record, or none without one; True when tenants have to be compiled anew for them.

        Raises what is wrong with them, a StoreError as a rule; then those before stay.
        """
        raw = {"plans": {}} if payload is None else open_envelope(payload, PLANS).record().document
        is_changed = self._swap(parse_plans(raw))
        self.revision = 0 if payload is None else revision
        return is_changed
