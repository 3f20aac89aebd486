"""An upstream at work: pick a target, send, note how it went, and try another where that is safe."""

from __future__ import annotations

import asyncio
import logging
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from edge.answer import UpstreamError
from edge.context import ProxyContext
from edge.errors import EdgeError
from edge.forward import BROKEN, Timeouts, UpstreamBody, forward
from edge.headers import BLANKS
from edge.message import ProxyResponse
from edge.upstreams.balance import Random, RoundRobin, by_hash, least_requests, random_two
from edge.upstreams.ejection import after_failure, after_success, may_eject
from edge.upstreams.live import LiveTarget, LiveTargets
from edge.upstreams.retry import Attempt, is_stale_connection, may_retry, reason_of
from store.model import Balance, Upstream

log = logging.getLogger("portico.edge")

GATEWAY_FAILURES = frozenset({502, 503, 504})


class Member:
    """A target with the weight and the base path that this upstream gives it; a `Candidate` for the balancers."""

    __slots__ = ("base_path", "key", "live", "weight")

    def __init__(self, live: LiveTarget, weight: int, base_path: str) -> None:
        self.live = live
        self.key = live.key.url
        self.weight = weight
        self.base_path = base_path

    @property
    def in_flight(self) -> int:
        """Requests that this target is busy with."""
        return self.live.in_flight


Outcome = ProxyResponse | UpstreamError
Pick = Callable[[Sequence[Member], ProxyContext], Member]


class UpstreamGroup:
    """The targets of one upstream of one tenant, as a transport of its routes' handlers.

    The owner owes `close`, when no new request can come; those under way end as they would have.
    """

    def __init__(
        self, tenant: str, name: str, upstream: Upstream, targets: LiveTargets, chance: Random = random.random
    ) -> None:
        self._upstream = upstream
        self._targets = targets
        self._counters = targets.counters
        self._held = targets.hold(tenant, name, upstream)
        self._shared = self._held[0].upstream
        # A weight of 0 drains a target: it takes nothing new, and counts for nothing here.
        self._members = [
            Member(live, target.weight, target.base_path)
            for live, target in zip(self._held, upstream.targets, strict=True)
            if target.weight
        ]
        self._timeouts = Timeouts(upstream.response_timeout_s, upstream.idle_timeout_s)
        self._pick_one = picker(upstream.balance, chance)
        self._is_closed = False
        self._now_s = asyncio.get_running_loop().time

    def close(self) -> None:
        """Let go of the targets; idempotent. A request that was matched before finds them as they were."""
        if not self._is_closed:
            self._is_closed = True
            for live in self._held:
                self._targets.drop(live)

    async def send(self, ctx: ProxyContext) -> ProxyResponse:
        """Send the context's request to one target after the other until one answers or no other may be tried.

        EdgeError: the last target's failure, `no_target` when none is usable, `overloaded` beyond `max_connections`.
        """
        shared = self._shared
        if shared.in_flight >= self._upstream.max_connections:
            raise EdgeError("overloaded", f"{shared.in_flight} requests of this upstream are in flight")
        now_s = self._now_s()
        shared.budget.note_request(now_s)
        member = self._pick(ctx, (), now_s)
        if member is None:
            raise EdgeError("no_target", f"none of {len(self._held)} targets may be used")
        request = ctx.request
        path = request.path
        try:
            request.path = member.base_path + path
            outcome = await self._attempt(ctx, member.live, is_fresh=False)
            if isinstance(outcome, ProxyResponse) and outcome.status not in GATEWAY_FAILURES:
                return outcome
            return await self._go_on(ctx, member, outcome, path)
        finally:
            request.path = path

    async def _go_on(self, ctx: ProxyContext, member: Member, outcome: Outcome, path: str) -> ProxyResponse:
        """Go on after a first attempt that failed: with one target after the other, while it is allowed."""
        tried: list[Member] = []
        while True:
            outcome = await self._once_more_if_stale(ctx, member, outcome)
            if _failure_of(outcome) is not None:
                self._note_failure(member.live)
            tried.append(member)
            may_retry_now = self._may_retry(ctx, outcome, len(tried) - 1)
            following = self._pick(ctx, tried, self._now_s()) if may_retry_now else None
            if following is None:
                return _answer(outcome)
            _discard(outcome)
            self._count_retry(outcome)
            member = following
            ctx.request.path = member.base_path + path
            outcome = await self._attempt(ctx, member.live, is_fresh=False)

    async def _once_more_if_stale(self, ctx: ProxyContext, member: Member, outcome: Outcome) -> Outcome:
        """Send again, on a new connection, when an idle one turned out to be closed; else give what there is."""
        if not (isinstance(outcome, UpstreamError) and is_stale_connection(_attempt_of(ctx, outcome, 0))):
            return outcome
        self._counters.retries["stale"] += 1
        return await self._attempt(ctx, member.live, is_fresh=True)

    async def _attempt(self, ctx: ProxyContext, live: LiveTarget, *, is_fresh: bool) -> Outcome:
        """Make one attempt; what it takes is given back when its answer's body is over, or now when there is none."""
        live.in_flight += 1
        self._shared.in_flight += 1
        ctx.target = live.authority
        ctx.attempts += 1
        ctx.upstream_s = None
        began_s = self._now_s()
        try:
            connection = (None if is_fresh else live.pool.idle()) or await live.pool.connect()
            response = await forward(connection, ctx, self._timeouts)
        except UpstreamError as error:
            self._give_back(live)
            return error
        except BaseException:  # the client's own failure, or its going: the target is not to blame
            self._give_back(live)
            raise
        ctx.upstream_s = self._now_s() - began_s
        assert isinstance(response.body, UpstreamBody)
        response.body.on_done(self._body_over, live, response.status)
        return response

    def _body_over(self, outcome: str, live: LiveTarget, status: int) -> None:
        """Judge a target by its whole answer: one that breaks off every body has not done well."""
        self._give_back(live)
        if status in GATEWAY_FAILURES:
            return  # noted already, when its head came
        if outcome == BROKEN:
            self._note_failure(live)
        elif live.standing.failures_in_a_row:
            live.standing = after_success(live.standing)

    def _give_back(self, live: LiveTarget) -> None:
        live.in_flight -= 1
        self._shared.in_flight -= 1

    def _note_failure(self, live: LiveTarget) -> None:
        now_s = self._now_s()
        others = [member.live for member in self._members if member.live is not live]
        may = may_eject(
            ejected=sum(other.standing.is_ejected(now_s) for other in others),
            targets=len(self._members),
            usable_others=sum(other.is_usable(now_s) for other in others),
        )
        before, live.standing = live.standing, after_failure(live.standing, now_s, may_eject=may)
        if live.standing.until_s != before.until_s:
            self._counters.ejections += 1
            tenant, name, url = live.key
            log.warning(
                "tenant %s, upstream %s: target %s is ejected for %.0f s after %d failures in a row",
                tenant, name, url, live.standing.until_s - now_s, live.standing.failures_in_a_row,
            )  # fmt: skip

    def _pick(self, ctx: ProxyContext, tried: Sequence[Member], now_s: float) -> Member | None:
        """Give a usable target, one that has not been tried if there is one.

        Where checks leave none but ejected ones, those are used: ejection alone never takes an upstream down.
        """
        members = self._members
        if len(members) == 1 and not tried and members[0].live.is_usable(now_s):
            return members[0]  # as most upstreams have it: nothing to choose
        usable = [member for member in members if member.live.is_usable(now_s)]
        if not usable:
            usable = [member for member in self._members if member.live.is_healthy]
        candidates = [member for member in usable if member not in tried] if tried else usable
        if not (candidates or usable):
            return None
        return self._pick_one(candidates or usable, ctx)

    def _may_retry(self, ctx: ProxyContext, outcome: Outcome, retries_made: int) -> bool:
        failure = _failure_of(outcome)
        if failure is None or not may_retry(_attempt_of(ctx, failure, retries_made), self._upstream.retry):
            return False
        return self._shared.budget.take(self._now_s())

    def _count_retry(self, outcome: Outcome) -> None:
        failure = _failure_of(outcome)
        reason = None if failure is None else reason_of(failure)
        if reason is not None:
            self._counters.retries[reason] += 1


def _failure_of(outcome: Outcome) -> EdgeError | int | None:
    if isinstance(outcome, EdgeError):
        return outcome
    return outcome.status if outcome.status in GATEWAY_FAILURES else None


def _attempt_of(ctx: ProxyContext, failure: EdgeError | int, retries_made: int) -> Attempt:
    request = ctx.request
    has_stream = request.content is None and request.in_req.body_exists and request.in_req.content_length != 0
    was_sent = not isinstance(failure, UpstreamError) or failure.is_request_sent
    return Attempt(
        failure=failure,
        retries_made=retries_made,
        method=request.method,
        is_body_untouched=not (has_stream and was_sent),
        is_body_repeatable=not has_stream,
    )


def _answer(outcome: Outcome) -> ProxyResponse:
    if isinstance(outcome, UpstreamError):
        raise outcome
    return outcome


def _discard(outcome: Outcome) -> None:
    if isinstance(outcome, ProxyResponse):
        outcome.abort()


def picker(balance: Balance, chance: Random) -> Pick:
    """Make the function that picks a target as a document asks for."""
    if balance.kind == "least_requests":
        return lambda members, _: least_requests(members, chance)
    if balance.kind == "random_two":
        return lambda members, _: random_two(members, chance)
    if balance.kind == "hash":
        return lambda members, ctx: by_hash(members, hash_value(ctx, balance))
    turn = RoundRobin()
    return lambda members, _: turn.pick(members)


def hash_value(ctx: ProxyContext, balance: Balance) -> str:
    """Give what a request is hashed by; the client's address where it has no such header or cookie."""
    headers = ctx.request.in_req.headers
    value: str | None = None
    if balance.hash_by == "header":
        value = headers.get(balance.hash_name or "")
    elif balance.hash_by == "cookie":
        value = cookie(headers.get("Cookie", ""), balance.hash_name or "")
    return value or ctx.request.remote or ""


def cookie(field: str, name: str) -> str | None:
    """Find a cookie in a `Cookie` field (RFC 6265 section 4.2.1), the first of that name."""
    for pair in field.split(";"):
        key, _, value = pair.strip(BLANKS).partition("=")
        if key == name:
            return value
    return None


class SplitTransport:
    """Sends each request to one of several upstreams, by chance and weight; ValueError when no share has a weight."""

    def __init__(self, shares: Sequence[tuple[UpstreamGroup, int]], chance: Random = random.random) -> None:
        weighted = [(group, weight) for group, weight in shares if weight > 0]
        if not weighted:
            raise ValueError("a split has at least one share with a weight")
        self._groups = [group for group, _ in weighted]
        self._bounds = list(accumulate(weight for _, weight in weighted))
        self._chance = chance

    async def send(self, ctx: ProxyContext) -> ProxyResponse:
        """Send to the upstream that chance picks."""
        at = bisect_right(self._bounds, self._chance() * self._bounds[-1])
        return await self._groups[at].send(ctx)
