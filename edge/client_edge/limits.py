"""How often: the limits of a route, all taken together or none, and the fields that tell the client where it stands.

First the places of requests under way, which are left when the request is over, whatever becomes of it, or is refused;
then rates and quotas, in one decision. What is only counted in shadow comes last, and refuses nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from edge.client_edge.limit_fields import POLICY, STATE, place_state, policy_of, state_field
from edge.client_edge.limit_keys import KeyOf, common_key, cost_of, key_of
from edge.context import ProxyContext
from edge.errors import EdgeError
from edge.middleware import ProxyMiddleware
from edge.telemetry.counters import Counters
from store.decisions import Decision, Source, Take
from store.guards import RETRY_AFTER_S, Entry, Guards, Place
from store.limiter import Limiter
from store.model import ConcurrentLimit, Limit, QuotaLimit, RateLimit
from store.quota import NOMINAL_S

_new_take = tuple.__new__
TakeOf = Callable[[ProxyContext], Take | None]
PlaceOf = Callable[[ProxyContext], Place]


class CostError(Exception):
    """A request costs more than a limit ever admits; no wait would help, and its period is as good as any to say."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__(name)
        self.name = name
        self.retry_after_s = retry_after_s


class NamedLimit(NamedTuple):
    """A limit and the name the document gives it."""

    name: str
    limit: Limit


class Counting(NamedTuple):
    """What limits are counted with, and what counts the decisions."""

    limiter: Limiter
    guards: Guards
    counters: Counters


def take_limits(tenant: str, route: str, limits: Sequence[NamedLimit], counting: Counting) -> ProxyMiddleware:
    """Make the middleware that admits a request when all of these limits do.

    EdgeError `rate_limited` with the wait until it could be admitted, or `store_down` when a limit that is declared
    `on_store_loss: closed` cannot be counted.
    """
    shadows = [each for each in limits if each.limit.shadow]
    enforced = [each for each in limits if not each.limit.shadow]
    check = _Limits(tenant, route, enforced, counting).check
    if not shadows:
        return check
    look = _Shadows(tenant, route, shadows, counting).look
    if not enforced:
        return look

    async def check_and_look(ctx: ProxyContext) -> None:
        waiting = check(ctx)
        if waiting is not None:
            await waiting
        await look(ctx)

    return check_and_look


class _Limits:
    """The limits of a route that are enforced."""

    def __init__(self, tenant: str, route: str, limits: Sequence[NamedLimit], counting: Counting) -> None:
        self._tenant = tenant
        self._limiter, self._guards, self._counters = counting
        self._places, self._takes = _places_and_takes(limits, route)
        self._only_take = _only_take_of(limits, route)
        self._policy = POLICY, ", ".join([policy_of(*each) for each in limits])

    def check(self, ctx: ProxyContext) -> Awaitable[None] | None:
        """Admit or refuse at once by what is known here; what is to be awaited where that takes Redis."""
        if self._places:
            return self._enter(ctx)
        takes = self._all_takes(ctx, []) if self._only_take is None else (self._only_take(ctx),)
        decision = self._limiter.take_at_once(self._tenant, takes)
        if decision is None:
            return self._ask(ctx, takes)
        self._settle(ctx, decision, [])
        return None

    def _all_takes(self, ctx: ProxyContext, places: Sequence[Place]) -> tuple[Take, ...]:
        try:
            return tuple([take for of in self._takes if (take := of(ctx)) is not None])
        except CostError as error:
            raise self._too_much(ctx, places) from error

    def _too_much(self, ctx: ProxyContext, places: Sequence[Place]) -> EdgeError:
        """Tell where its limits stand to a request that costs more than one of them ever admits."""
        takes: list[Take | None] = []
        refusing: list[CostError] = []
        for of in self._takes:
            try:
                takes.append(of(ctx))
            except CostError as error:
                refusing.append(error)
        states = self._limiter.states_at_once(self._tenant, tuple([take for take in takes if take is not None]))
        decision = Decision(False, states, max(error.retry_after_s for error in refusing), "store")
        self._tell(ctx, decision, [*self._left(places), *[place_state(error.name, 0) for error in refusing]])
        return _refusal(decision)

    async def _ask(self, ctx: ProxyContext, takes: tuple[Take, ...]) -> None:
        self._settle(ctx, await self._limiter.take(self._tenant, takes), [])

    async def _enter(self, ctx: ProxyContext) -> None:
        """Take the places, and then of the rates; who is refused leaves at once those that it has.

        Who is known to be refused by a rate takes none: others would go without.
        """
        places = [of(ctx) for of in self._places]
        takes = self._all_takes(ctx, places)
        refused = self._limiter.refused_at_once(self._tenant, takes)
        if refused is not None:
            self._settle(ctx, refused, self._left(places))
        entries: list[tuple[Place, Entry]] = []
        is_admitted = False
        try:
            decision = await self._decided(places, takes, entries)
            is_admitted = decision.admitted
        finally:
            if not is_admitted:
                self._leave([place for place, entry in entries if entry.admitted])
        if not is_admitted:
            full = entries[-1][0] if not entries[-1][1].admitted else None
            self._settle(ctx, decision, self._left(places, full))
        for place, _ in entries:
            ctx.defer(partial(self._guards.leave, self._tenant, place))
        self._settle(ctx, decision, [place_state(place.name, entry.left) for place, entry in entries])

    async def _decided(
        self, places: Sequence[Place], takes: tuple[Take, ...], entries: list[tuple[Place, Entry]]
    ) -> Decision:
        """Take the places one after the other, then of the rates; what became of each place is added to `entries`."""
        source: Source = "store"
        for place in places:
            entry = await self._guards.enter(self._tenant, place)
            entries.append((place, entry))
            source = entry.source
            if not entry.admitted:
                states = self._limiter.states_at_once(self._tenant, takes)
                return Decision(False, states, RETRY_AFTER_S, source)
        return await self._limiter.take(self._tenant, takes) if self._takes else Decision(True, (), 0.0, source)

    def _leave(self, places: Sequence[Place]) -> None:
        for place in places:
            self._guards.leave(self._tenant, place)

    def _left(self, places: Sequence[Place], full: Place | None = None) -> list[str]:
        """Tell how many places are left, as far as this worker knows; none of one that has just been full."""
        known = [(each, 0 if each is full else self._guards.left(self._tenant, each)) for each in places]
        return [place_state(place.name, left) for place, left in known if left is not None]

    def _settle(self, ctx: ProxyContext, decision: Decision, places: list[str]) -> None:
        self._tell(ctx, decision, places)
        if not decision.admitted:
            raise _refusal(decision)

    def _tell(self, ctx: ProxyContext, decision: Decision, places: list[str]) -> None:
        by_source = self._counters.limits_admitted if decision.admitted else self._counters.limits_refused
        by_source[decision.source] += 1
        states = decision.states
        told = state_field(states) if not places else ", ".join([*places, *([state_field(states)] if states else ())])
        ctx.answer_fields = (self._policy, (STATE, told)) if told else (self._policy,)


class _Shadows:
    """The limits of a route that are counted and refuse nobody."""

    def __init__(self, tenant: str, route: str, limits: Sequence[NamedLimit], counting: Counting) -> None:
        self._tenant = tenant
        self._limiter, self._guards, self._counters = counting
        self._places, self._takes = _places_and_takes(limits, route)

    async def look(self, ctx: ProxyContext) -> None:
        """Count a request that was admitted, each limit for itself, and note those that would have refused it."""
        refusing: list[str] = []
        for place_of in self._places:
            place = place_of(ctx)
            entry = await self._guards.enter(self._tenant, place)
            if entry.admitted:
                ctx.defer(partial(self._guards.leave, self._tenant, place))
            else:
                self._note(refusing, place.name, entry.source)
        for take_of in self._takes:
            try:
                take = take_of(ctx)
            except CostError as error:
                self._note(refusing, error.name, "store")
                continue
            decision = await self._limiter.take(self._tenant, () if take is None else (take,))
            if take is not None and not decision.admitted:
                self._note(refusing, take.name, decision.source)
        ctx.shadow_refused = tuple(refusing)

    def _note(self, refusing: list[str], name: str, source: Source) -> None:
        refusing.append(name)
        self._counters.limits_shadow_refused[source] += 1


def _refusal(decision: Decision) -> EdgeError:
    if decision.source == "closed":
        return EdgeError("store_down", "a limit that is closed without its store", retry_after_s=decision.retry_after_s)
    return EdgeError("rate_limited", retry_after_s=decision.retry_after_s)


def _places_and_takes(limits: Sequence[NamedLimit], route: str) -> tuple[list[PlaceOf], list[TakeOf]]:
    places = [_place_of(name, limit, route) for name, limit in limits if isinstance(limit, ConcurrentLimit)]
    takes = [_take_of(name, limit, route) for name, limit in limits if not isinstance(limit, ConcurrentLimit)]
    return places, takes


def _place_of(name: str, limit: ConcurrentLimit, route: str) -> PlaceOf:
    most, loss, of = limit.concurrent, limit.on_store_loss, key_of(limit.by, route)
    return lambda ctx: Place(name, of(ctx), most, loss)


def _only_take_of(limits: Sequence[NamedLimit], route: str) -> Callable[[ProxyContext], Take] | None:
    """Make the one function there is where a route has one limit, of a fixed cost: most routes have no more."""
    if len(limits) != 1 or isinstance(limit := limits[0].limit, ConcurrentLimit) or not limit.cost.is_fixed:
        return None
    return _take_at_fixed_cost(_take(limits[0].name, limit), limit, route)


def _take_of(name: str, limit: RateLimit | QuotaLimit, route: str) -> TakeOf:
    """Make the function that says, for a request, what to take."""
    base = _take(name, limit)
    if limit.cost.is_fixed:
        return _take_at_fixed_cost(base, limit, route)
    return _take_at_cost(base, key_of(limit.by, route), limit)


def _take_at_fixed_cost(base: Take, limit: RateLimit | QuotaLimit, route: str) -> Callable[[ProxyContext], Take]:
    """What takes the same of all requests makes it once."""
    of, common = key_of(limit.by, route), common_key(limit.by, route)
    if common is not None:
        take = base._replace(key=common)
        return lambda _: take
    name, rest = base.name, base[2:]
    # As a tuple, since a request makes one: by its fields' names it would take four times as long.
    return lambda ctx: _new_take(Take, (name, of(ctx), *rest))


def _take_at_cost(base: Take, key: KeyOf, limit: RateLimit | QuotaLimit) -> TakeOf:
    cost, most = cost_of(limit.cost), limit.burst if isinstance(limit, RateLimit) else limit.quota.units

    def take(ctx: ProxyContext) -> Take | None:
        units = cost(ctx)
        if units > most:
            raise CostError(base.name, base.period_s)
        return base._replace(key=key(ctx), cost=units) if units else None

    return take


def _take(name: str, limit: RateLimit | QuotaLimit) -> Take:
    if isinstance(limit, RateLimit):
        return Take(name, "", limit.count, limit.period_s, limit.burst, limit.on_store_loss, limit.cost.units)
    units, window = limit.quota.units, limit.quota.window
    return Take(name, "", units, NOMINAL_S[window], units, limit.on_store_loss, limit.cost.units, window)
