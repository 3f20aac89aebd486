"""How often: the limits of a route, all taken together or none, and the fields that tell the client where it stands.

`RateLimit-Policy` and `RateLimit` are structured fields (draft-ietf-httpapi-ratelimit-headers), on every answer
of a limited route, the edge's own answers too.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from edge.addresses import subscriber_of
from edge.context import ProxyContext
from edge.errors import EdgeError
from edge.middleware import ProxyMiddleware
from edge.telemetry.counters import Counters
from store.decisions import Decision, LimitState, Take
from store.limiter import Limiter
from store.model import By, RateLimit

KeyOf = Callable[[ProxyContext], str]
MAX_PLAIN_VALUE = 64
POLICY, STATE = "RateLimit-Policy", "RateLimit"


class NamedLimit(NamedTuple):
    """A limit and the name the document gives it."""

    name: str
    limit: RateLimit


def take_limits(
    tenant: str, route: str, limits: Sequence[NamedLimit], limiter: Limiter, counters: Counters
) -> ProxyMiddleware:
    """Make the middleware that admits a request when all of these limits do.

    EdgeError `rate_limited` with the wait until it could be admitted, or `store_down` when a limit that is declared
    `on_store_loss: closed` cannot be counted.
    """
    makers = [_take_maker(named, route) for named in limits]
    make_one = makers[0] if len(makers) == 1 else None
    policy_pair = POLICY, policy_field([named.limit for named in limits], [named.name for named in limits])

    def settle(ctx: ProxyContext, decision: Decision) -> None:
        by_source = counters.limits_admitted if decision.admitted else counters.limits_refused
        by_source[decision.source] += 1
        states = decision.states
        ctx.answer_fields = (policy_pair, (STATE, state_field(states))) if states else (policy_pair,)
        if not decision.admitted:
            raise _refusal(decision)

    async def ask(ctx: ProxyContext, takes: tuple[Take, ...]) -> None:
        settle(ctx, await limiter.take(tenant, takes))

    def check(ctx: ProxyContext) -> Awaitable[None] | None:
        takes = tuple([make(ctx) for make in makers]) if make_one is None else (make_one(ctx),)
        decision = limiter.take_at_once(tenant, takes)
        if decision is None:
            return ask(ctx, takes)
        settle(ctx, decision)
        return None

    return check


def _refusal(decision: Decision) -> EdgeError:
    if decision.source == "closed":
        return EdgeError("store_down", "a limit that is closed without its store", retry_after_s=decision.retry_after_s)
    return EdgeError("rate_limited", retry_after_s=decision.retry_after_s)


def policy_field(limits: Sequence[RateLimit], names: Sequence[str]) -> str:
    """Write the policies: `"per-key";q=100;w=1`, the quota in each window of so many seconds."""
    return ", ".join(
        f'"{name}";q={limit.count};w={math.ceil(limit.period_s)}' for name, limit in zip(names, limits, strict=True)
    )


def state_field(states: Sequence[LimitState]) -> str:
    """Write where each limit stands: `"per-key";r=50;t=1`, what is left and the seconds until all of it is back."""
    return ", ".join([f'"{each.name}";r={max(0, each.remaining)};t={math.ceil(each.reset_after_s)}' for each in states])


def _take_maker(named: NamedLimit, route: str) -> Callable[[ProxyContext], Take]:
    """Make the function that says, for a request, what to take; a limit that counts everything alike makes it once."""
    name, limit = named
    if limit.by.kind in ("tenant", "route"):
        take = _take(name, limit, route if limit.by.kind == "route" else "")
        return lambda _: take
    key_of = _key_of(limit.by)
    return lambda ctx: _take(name, limit, key_of(ctx))


def _take(name: str, limit: RateLimit, key: str) -> Take:
    return Take(name, key, limit.count, limit.period_s, limit.burst, limit.on_store_loss)


def _key_of(by: By) -> KeyOf:
    if by.kind == "ip":
        return lambda ctx: address_key(ctx.request.remote or "")
    if by.kind == "header":
        header = by.header or ""
        return lambda ctx: value_key(ctx.request.in_req.headers.get(header, ""))
    if by.kind == "claim":
        claim = by.claim or ""
        return lambda ctx: "" if (who := ctx.identity) is None else value_key(who.claim(claim) or "")
    if by.kind == "key":
        return lambda ctx: "" if (who := ctx.identity) is None else value_key(who.key_id or who.subject)
    return lambda ctx: "" if (who := ctx.identity) is None else value_key(who.subject)


def address_key(address: str) -> str:
    """Count a client by its subscriber; what is no address, by itself."""
    try:
        return subscriber_of(address)
    except ValueError:
        return value_key(address)


def value_key(value: str) -> str:
    """Make any value fit to be part of a key: short plain ones as they are, others by their hash."""
    if len(value) <= MAX_PLAIN_VALUE and value.isascii() and value.isprintable():
        return value
    return hashlib.blake2b(value.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
