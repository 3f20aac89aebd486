"""The chain's law, case by case; `edge/middleware.py` numbers the rules that the names here speak of."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from edge.context import ProxyContext, ProxyResponse
from edge.errors import EdgeError
from edge.middleware import Chain, Kind, MiddlewarePhase, ProxyMiddleware, ProxyMiddlewareDef, kind_of
from tests.fakes.middlewares import Log, chain_of, context

CLIENT_EDGE, PROXY, TARGET_EDGE = MiddlewarePhase


# -- Classification ------------------------------------------------------------------------------------------------


class CallableObject:
    """A middleware that is an object."""

    async def __call__(self, ctx: ProxyContext) -> AsyncIterator[None]:
        """Run."""
        yield

    async def method(self, ctx: ProxyContext) -> None:
        """Run."""


def wrapped(middleware: ProxyMiddleware) -> ProxyMiddleware:
    """Wrap as a decorator of somebody's would."""

    @functools.wraps(middleware)
    def wrapper(ctx: ProxyContext) -> Any:
        return middleware(ctx)

    return wrapper


@pytest.mark.parametrize(
    ("middleware", "kind"),
    [
        (Log().asyncgen(""), Kind.ASYNC_GENERATOR),
        (Log().generator(""), Kind.GENERATOR),
        (Log().coroutine(""), Kind.COROUTINE),
        (Log().function(""), Kind.FUNCTION),
        (functools.partial(Log().asyncgen("")), Kind.ASYNC_GENERATOR),
        (functools.partial(functools.partial(CallableObject())), Kind.ASYNC_GENERATOR),
        (CallableObject(), Kind.ASYNC_GENERATOR),
        (CallableObject().method, Kind.COROUTINE),
        (wrapped(Log().generator("")), Kind.GENERATOR),
        (print, Kind.FUNCTION),
    ],
)
def test_a_middleware_is_what_calling_it_gives(middleware: ProxyMiddleware, kind: Kind) -> None:
    assert kind_of(middleware) is kind


# -- Order ---------------------------------------------------------------------------------------------------------


async def test_phases_run_in_order_and_what_follows_the_yield_in_reverse() -> None:
    log = Log()
    chain = chain_of(
        (TARGET_EDGE, log.generator("d")),
        (CLIENT_EDGE, log.asyncgen("a")),
        (PROXY, log.coroutine("c")),
        (300, log.function("b")),
    )
    await chain.run(ctx := context(), log.send)
    assert log == ["a", "b", "c", "d", "send", "after d", "after a"]
    assert ctx.response.status == 200


@pytest.mark.parametrize("is_direct", [True, False])
async def test_functions_and_coroutines_run_alike_with_generators_in_the_chain_and_without(is_direct: bool) -> None:
    log = Log()
    also = [] if is_direct else [(PROXY, Log().asyncgen("unseen"))]
    chain = chain_of((0, log.function("a")), (1, log.coroutine("b")), (2, lambda ctx: log.coroutine("c")(ctx)), *also)
    await chain.run(context(), log.send)
    assert log == ["a", "b", "c", "send"]


async def test_an_empty_chain_only_sends() -> None:
    log = Log()
    await Chain().run(context(), log.send)
    assert log == ["send"]


async def test_middlewares_of_one_phase_run_at_the_same_time_before_and_after() -> None:
    before, after = asyncio.Barrier(3), asyncio.Barrier(2)
    log = Log()

    async def resumed(ctx: ProxyContext) -> AsyncIterator[None]:
        await before.wait()
        yield
        await after.wait()
        log.append("after")

    async def once(ctx: ProxyContext) -> None:
        await before.wait()

    await chain_of((PROXY, resumed), (PROXY, resumed), (PROXY, once), (TARGET_EDGE, log.function("next"))).run(
        context(), log.send
    )
    assert log == ["next", "send", "after", "after"]


async def test_a_phase_is_over_when_all_of_its_middlewares_are() -> None:
    log = Log()
    event = asyncio.Event()

    async def waiting(ctx: ProxyContext) -> None:
        await event.wait()
        log.append("slow")

    async def setting(ctx: ProxyContext) -> None:
        log.append("quick")
        event.set()

    await chain_of((0, waiting), (0, setting), (1, log.function("next"))).run(context(), log.send)
    assert log == ["quick", "slow", "next", "send"]


# -- Answering early -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_direct", [True, False])
async def test_a_phase_that_leaves_a_response_skips_the_later_ones_and_the_target(is_direct: bool) -> None:
    log = Log()

    async def answer(ctx: ProxyContext) -> None:
        ctx.response = ProxyResponse.of(418)

    first = log.coroutine("a") if is_direct else log.asyncgen("a")
    await chain_of((0, first), (1, answer), (2, log.function("c"))).run(ctx := context(), log.send)
    assert ctx.response.status == 418
    assert log == (["a"] if is_direct else ["a", "after a"])


# -- Failing -------------------------------------------------------------------------------------------------------

OUTCOMES: dict[str, Callable[[Log, EdgeError], tuple[list[tuple[int, ProxyMiddleware]], list[str]]]] = {
    "a function fails in a direct chain": lambda log, error: (
        [(0, log.coroutine("a")), (1, log.failing("b", error)), (2, log.function("c"))],
        ["a", "b"],
    ),
    "an inner phase fails": lambda log, error: (
        [(0, log.asyncgen("a")), (1, log.generator("b")), (2, log.failing("c", error)), (3, log.function("d"))],
        ["a", "b", "c", "after b: EdgeError", "after a: EdgeError"],
    ),
    "a sibling fails, and the one that got to its yield is resumed": lambda log, error: (
        [(0, log.generator("a")), (0, log.failing("b", error)), (1, log.function("c"))],
        ["a", "b", "after a: EdgeError"],
    ),
    "what follows a yield fails, and stops nobody else": lambda log, error: (
        [(0, log.asyncgen("a")), (1, log.failing_after("b", error)), (1, log.asyncgen("c"))],
        ["a", "b", "c", "send", "after b", "after c", "after a: EdgeError"],
    ),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
async def test_a_failure_is_raised_after_everybody_has_been_resumed(outcome: str) -> None:
    log, error = Log(), EdgeError("forbidden")
    phased, expected = OUTCOMES[outcome](log, error)
    ctx = context()
    with pytest.raises(EdgeError) as raised:
        await chain_of(*phased).run(ctx, log.send)
    assert raised.value is error is ctx.error
    assert log == expected


async def test_a_failing_send_resumes_everybody_too() -> None:
    log = Log()

    async def send(ctx: ProxyContext) -> None:
        raise EdgeError("upstream_reset")

    with pytest.raises(EdgeError, match="upstream_reset"):
        await chain_of((0, log.asyncgen("a")), (1, log.generator("b"))).run(context(), send)
    assert log == ["a", "b", "after b: EdgeError", "after a: EdgeError"]


async def test_a_failure_cancels_its_siblings_in_the_phase() -> None:
    log = Log()

    async def waiting(ctx: ProxyContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    with pytest.raises(EdgeError, match="forbidden"):
        await chain_of((0, waiting), (0, log.failing("b", EdgeError("forbidden")))).run(context(), log.send)
    assert log == ["b", "cancelled"]


async def test_a_later_failure_replaces_the_first_and_keeps_it_as_its_context() -> None:
    log = Log()
    first, second = EdgeError("forbidden"), EdgeError("internal")
    chain = chain_of((0, log.asyncgen("a")), (1, log.failing_after("b", second)), (2, log.failing("c", first)))
    with pytest.raises(EdgeError, match="internal") as raised:
        await chain.run(context(), log.send)
    assert raised.value.__context__ is first
    assert log == ["a", "b", "c", "after b: EdgeError", "after a: EdgeError"]


async def test_a_middleware_recovers_by_setting_a_response_and_taking_the_error_away() -> None:
    log = Log()

    async def recover(ctx: ProxyContext) -> AsyncIterator[None]:
        yield
        assert isinstance(ctx.error, EdgeError)
        ctx.response = ProxyResponse.of(200, content=b"from the cache")
        ctx.error = None

    async def send(ctx: ProxyContext) -> None:
        raise EdgeError("upstream_connect")

    await chain_of((0, log.asyncgen("outer")), (1, recover)).run(ctx := context(), send)
    assert ctx.response.content == b"from the cache"
    assert log == ["outer", "after outer"]


# -- Misuse --------------------------------------------------------------------------------------------------------


async def test_a_middleware_that_yields_twice_is_an_error() -> None:
    async def twice(ctx: ProxyContext) -> AsyncIterator[None]:
        yield
        yield

    def twice_too(ctx: ProxyContext) -> Iterator[None]:
        yield
        yield

    for middleware in (twice, twice_too):
        with pytest.raises(RuntimeError, match="yields once"):
            await chain_of((0, middleware)).run(context(), Log().send)


async def test_a_function_that_hides_a_generator_is_told_how_to_say_so() -> None:
    generator = Log().generator("a")
    with pytest.raises(TypeError, match=r"functools\.wraps"):
        await chain_of((0, lambda ctx: generator(ctx))).run(context(), Log().send)


async def test_a_generator_that_ends_before_its_yield_is_not_resumed() -> None:
    log = Log()

    async def sometimes(ctx: ProxyContext) -> AsyncIterator[None]:
        log.append("only before")
        if ctx.state:
            yield

    await chain_of((0, sometimes)).run(context(), log.send)
    assert log == ["only before", "send"]


def test_what_cannot_be_called_is_no_middleware() -> None:
    with pytest.raises(TypeError, match="called with the context"):
        ProxyMiddlewareDef(CLIENT_EDGE, "not callable")  # type: ignore[arg-type]
