"""The chain: what runs around one proxied request, phase by phase.

The law, which `Chain.run` obeys and `tests/edge/test_middleware.py` tables:

1. Phases run in ascending order, then `send`, then what follows each `yield`, phases in descending order.
2. Middlewares of one phase run concurrently; the phase is over when all of them are.
3. A phase that leaves a response answers early: later phases and `send` are skipped.
4. The first failure skips them too, cancels its siblings in the phase, and becomes `ctx.error`.
5. What follows the `yield` of every middleware that got there always runs, once, after failure and cancellation too.
   It is resumed, not thrown into: it looks at `ctx.error`. A failure there replaces `ctx.error` and stops nobody else.
6. When all is done `ctx.error` is raised, if it is still there. A middleware recovers by setting `ctx.response` and
   `ctx.error = None`. Cancellation cannot be recovered from.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from itertools import groupby
from operator import attrgetter
from typing import Any

from edge.context import ProxyContext

ProxyMiddleware = Callable[[ProxyContext], Any]
Send = Callable[[ProxyContext], Awaitable[None]]
Suspended = AsyncGenerator[Any, Any] | Generator[Any, Any, Any]


class MiddlewarePhase(IntEnum):
    """The named phases; any number from 0 to 1000 is one."""

    CLIENT_EDGE = 0
    PROXY = 500
    TARGET_EDGE = 1000


@dataclass(frozen=True, slots=True)
class ProxyMiddlewareDef:
    """A middleware and the phase it runs in; ValueError for a phase outside 0 to 1000.

    The middleware takes the context and is an async generator function, a generator function, a coroutine function or
    a plain function. One with a `yield` runs up to it before the request goes out, and the rest after.
    """

    phase: int
    middleware: ProxyMiddleware

    def __post_init__(self) -> None:
        if not MiddlewarePhase.CLIENT_EDGE <= self.phase <= MiddlewarePhase.TARGET_EDGE:
            raise ValueError(f"a phase is a number from 0 to 1000: {self.phase}")
        if not callable(self.middleware):
            raise TypeError(f"a middleware is called with the context: {self.middleware!r}")


class Kind(Enum):
    """What calling a middleware gives."""

    ASYNC_GENERATOR = "async generator"
    GENERATOR = "generator"
    COROUTINE = "coroutine"
    FUNCTION = "function"


def kind_of(middleware: ProxyMiddleware) -> Kind:
    """Classify by looking through `functools.partial`, callable objects, and wrappers made with `functools.wraps`."""
    target: Any = middleware
    while isinstance(target, functools.partial):
        target = target.func
    if not inspect.isroutine(target) and not inspect.isclass(target):
        target = type(target).__call__
    for is_kind, kind in (
        (inspect.isasyncgenfunction, Kind.ASYNC_GENERATOR),
        (inspect.isgeneratorfunction, Kind.GENERATOR),
        (inspect.iscoroutinefunction, Kind.COROUTINE),
    ):
        if is_kind(target):
            return kind
    wrapped = getattr(target, "__wrapped__", None)
    return Kind.FUNCTION if wrapped is None else kind_of(wrapped)


@dataclass(frozen=True, slots=True)
class Step:
    """One middleware, classified."""

    call: ProxyMiddleware
    kind: Kind

    def begin(self, ctx: ProxyContext, suspended: list[Suspended]) -> Awaitable[Any] | None:
        """Run what needs no waiting; what is still to be awaited for the part before the `yield`, if anything is.

        What is to be resumed after is put into `suspended` as soon as it got to its `yield`.
        """
        if self.kind is Kind.COROUTINE:
            return self.call(ctx)  # type: ignore[no-any-return]
        if self.kind is Kind.ASYNC_GENERATOR:
            return _open(self.call(ctx), suspended)
        result = self.call(ctx)
        if self.kind is Kind.GENERATOR:
            if next(result, _OVER) is not _OVER:
                suspended.append(result)
            return None
        if result is not None and not inspect.isawaitable(result):
            raise TypeError(
                f"{self.call!r} gave {type(result).__name__}; a function that makes a generator of another "
                "middleware says so with functools.wraps"
            )
        return result


async def _open(agen: AsyncGenerator[Any, Any], suspended: list[Suspended]) -> None:
    if await anext(agen, _OVER) is not _OVER:
        suspended.append(agen)


async def _resume(suspended: Suspended) -> None:
    """Run what follows the `yield`, to the end."""
    if isinstance(suspended, Generator):
        if next(suspended, _OVER) is not _OVER:
            suspended.close()
            raise RuntimeError(f"a middleware yields once: {suspended!r}")
    elif await anext(suspended, _OVER) is not _OVER:
        await suspended.aclose()
        raise RuntimeError(f"a middleware yields once: {suspended!r}")


_OVER = object()


class Chain:
    """The middlewares of one handler, compiled once: immutable, and shared by all requests."""

    __slots__ = ("_has_generators", "_phases")

    def __init__(self, defs: Iterable[ProxyMiddlewareDef] = ()) -> None:
        by_phase = groupby(sorted(defs, key=attrgetter("phase")), key=attrgetter("phase"))
        self._phases = tuple(
            tuple(Step(item.middleware, kind_of(item.middleware)) for item in items) for _, items in by_phase
        )
        self._has_generators = any(
            step.kind in (Kind.ASYNC_GENERATOR, Kind.GENERATOR) for phase in self._phases for step in phase
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run."""
        return not self._phases

    async def run(self, ctx: ProxyContext, send: Send) -> None:
        """Run the phases around `send`, which sets `ctx.response`; raises what `ctx.error` holds in the end.

        `entered` gets what is to be resumed, of a phase that fails as well.
        """
        entered: list[list[Suspended]] = []
        try:
            for phase in self._phases:
                suspended: list[Suspended] = []
                entered.append(suspended)
                if len(phase) > 1:
                    await _enter_together(phase, ctx, suspended)
                elif (waiting := phase[0].begin(ctx, suspended)) is not None:
                    await waiting
                if ctx.has_response:
                    break
            else:
                await send(ctx)
        except BaseException as error:
            ctx.error = error
            if not self._has_generators:
                raise
            await _go_out(ctx, entered, _cancellation(error))
        else:
            if self._has_generators:
                await _go_out(ctx, entered, None)


async def _go_out(ctx: ProxyContext, entered: list[list[Suspended]], cancelled: BaseException | None) -> None:
    """Resume the phases in reverse, whatever happens, and raise what is left to raise."""
    for phase in reversed(entered):
        failure = await _resume_phase(phase)
        if failure is not None:
            _replace_error(ctx, failure)
            cancelled = cancelled or _cancellation(failure)
    if cancelled is not None:
        raise cancelled
    if ctx.error is not None:
        raise ctx.error


async def _enter_together(phase: tuple[Step, ...], ctx: ProxyContext, suspended: list[Suspended]) -> None:
    """Enter the middlewares of one phase concurrently; those that need no waiting cost no task."""
    waiting: list[Awaitable[Any]] = []
    try:
        for step in phase:
            awaitable = step.begin(ctx, suspended)
            if awaitable is not None:
                waiting.append(awaitable)
    except BaseException:
        for awaitable in waiting:
            if isinstance(awaitable, Coroutine):
                awaitable.close()  # it has not begun, and will not
        raise
    if len(waiting) == 1:
        await waiting[0]
    elif waiting:
        await _await_together(waiting)


async def _await_together(waiting: list[Awaitable[Any]]) -> None:
    """Await all of them; the first failure, in their order, cancels the others."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in waiting]
    cancelled = await _wait(tasks, asyncio.FIRST_EXCEPTION)
    cancelled = await _cancel(tasks) or cancelled
    if cancelled is not None:
        raise cancelled
    failures = [failure for task in tasks if (failure := _failure_of(task))]
    if failures:
        # The siblings that were cancelled for it are not why the phase failed.
        raise next((failure for failure in failures if isinstance(failure, Exception)), failures[0])


async def _resume_phase(phase: list[Suspended]) -> BaseException | None:
    """Resume what one phase suspended, concurrently if there is more than one; the first failure is given back."""
    if len(phase) > 1:
        return await _resume_together(phase)
    try:
        for suspended in phase:
            await _resume(suspended)
    except BaseException as error:
        return error
    return None


async def _resume_together(phase: list[Suspended]) -> BaseException | None:
    """Resume all of them to their ends, come what may; a cancellation is passed on to each and then given back."""
    tasks = [asyncio.create_task(_resume(suspended)) for suspended in phase]
    cancelled = await _wait(tasks, asyncio.ALL_COMPLETED)
    cancelled = await _cancel(tasks) or cancelled
    return cancelled or next((failure for task in tasks if (failure := _failure_of(task))), None)


async def _wait(tasks: Sequence[asyncio.Future[Any]], return_when: str) -> asyncio.CancelledError | None:
    try:
        await asyncio.wait(tasks, return_when=return_when)
    except asyncio.CancelledError as error:
        return error
    return None


async def _cancel(tasks: Sequence[asyncio.Future[Any]]) -> asyncio.CancelledError | None:
    """Cancel what still runs and wait for its end, through cancellations of our own, the last of which is given."""
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    cancelled = None
    while pending:
        cancelled = await _wait(pending, asyncio.ALL_COMPLETED) or cancelled
        pending = [task for task in pending if not task.done()]
    return cancelled


def _failure_of(task: asyncio.Future[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _cancellation(error: BaseException) -> BaseException | None:
    """Give the error back if it ends the task or the process, whatever a middleware would like."""
    return None if isinstance(error, Exception) else error


def _replace_error(ctx: ProxyContext, failure: BaseException) -> None:
    if failure.__context__ is None and failure is not ctx.error:
        failure.__context__ = ctx.error
    ctx.error = failure
