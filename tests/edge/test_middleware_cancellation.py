"""The chain's law when the request's task is cancelled: the client is gone, or the worker is stopping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.context import ProxyContext, ProxyResponse
from tests.fakes.middlewares import Log, chain_of, context


async def hang(ctx: ProxyContext) -> None:
    """Never come back."""
    await asyncio.Event().wait()


@pytest.mark.parametrize("at", ["send", "alone in a phase", "with others in a phase"])
async def test_cancellation_resumes_everybody_and_goes_on(at: str) -> None:
    log = Log()
    reached = asyncio.Event()

    async def hang_here(ctx: ProxyContext) -> None:
        reached.set()
        await hang(ctx)

    phased = [(0, log.asyncgen("a")), (1, log.generator("b"))]
    if at != "send":
        phased.append((2, hang_here))
    if at == "with others in a phase":
        phased.append((2, log.asyncgen("c")))
    task = asyncio.create_task(chain_of(*phased).run(context(), hang_here))
    await reached.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    after = ["after b: CancelledError", "after a: CancelledError"]
    others = ["c", "after c: CancelledError"] if at == "with others in a phase" else []
    assert log == ["a", "b", *others, *after]


async def test_cancellation_cannot_be_recovered_from() -> None:
    async def recover(ctx: ProxyContext) -> AsyncIterator[None]:
        yield
        ctx.response = ProxyResponse.of(200)
        ctx.error = None

    task = asyncio.create_task(chain_of((0, recover)).run(context(), hang))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("siblings", [1, 2])
async def test_a_second_cancellation_interrupts_one_phase_and_the_others_still_run(siblings: int) -> None:
    log = Log()
    sent, resumed = asyncio.Event(), asyncio.Event()

    async def send(ctx: ProxyContext) -> None:
        sent.set()
        await hang(ctx)

    async def slow_after(ctx: ProxyContext) -> AsyncIterator[None]:
        yield
        resumed.set()
        try:
            await hang(ctx)
        finally:
            log.append("slow, interrupted")

    chain = chain_of((0, log.asyncgen("outer")), *[(1, slow_after)] * siblings)
    task = asyncio.create_task(chain.run(context(), send))
    await sent.wait()
    task.cancel()
    await resumed.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["outer", *["slow, interrupted"] * siblings, "after outer: CancelledError"]
