"""What a client is told of its limits: `RateLimit-Policy` and `RateLimit`, two lists of structured fields.

draft-ietf-httpapi-ratelimit-headers. Of a quota of the calendar the window is its length, of a month thirty days; of
requests under way at once there is none, and the unit says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from store.decisions import LimitState
from store.model import Limit, QuotaLimit, RateLimit
from store.quota import NOMINAL_S

POLICY, STATE = "RateLimit-Policy", "RateLimit"


def policy_of(name: str, limit: Limit) -> str:
    """Write one policy: `"per-key";q=100;w=1`, so many in each window of so many seconds."""
    if isinstance(limit, RateLimit):
        return f'"{name}";q={limit.count};w={math.ceil(limit.period_s)}'
    if isinstance(limit, QuotaLimit):
        return f'"{name}";q={limit.quota.units};w={NOMINAL_S[limit.quota.window]}'
    return f'"{name}";q={limit.concurrent};qu="concurrent-requests"'


def state_field(states: Sequence[LimitState]) -> str:
    """Write where each limit stands: `"per-key";r=50;t=1`, what is left and the seconds until all of it is back."""
    if len(states) == 1:  # as mostly
        name, _, _, _, left, reset_after_s, _ = states[0]
        return f'"{name}";r={left};t={math.ceil(reset_after_s)}'
    return ", ".join([f'"{each.name}";r={each.remaining};t={math.ceil(each.reset_after_s)}' for each in states])


def place_state(name: str, left: int) -> str:
    """Write how many more requests could be under way."""
    return f'"{name}";r={left}'
