"""Middlewares that note when they run, for tests of the order in which a chain runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from edge.context import ProxyContext, ProxyRequest, ProxyResponse
from edge.middleware import Chain, ProxyMiddleware, ProxyMiddlewareDef
from tests.fakes.requests import incoming


class Log(list[str]):
    """Notes what ran, in order, and makes the middlewares that do."""

    def asyncgen(self, name: str) -> ProxyMiddleware:
        """Make an async generator function."""

        async def middleware(ctx: ProxyContext) -> AsyncIterator[None]:
            self.append(name)
            yield
            self.append(f"after {name}{_error(ctx)}")

        return middleware

    def generator(self, name: str) -> ProxyMiddleware:
        """Make a generator function."""

        def middleware(ctx: ProxyContext) -> Iterator[None]:
            self.append(name)
            yield
            self.append(f"after {name}{_error(ctx)}")

        return middleware

    def coroutine(self, name: str) -> ProxyMiddleware:
        """Make a coroutine function."""

        async def middleware(ctx: ProxyContext) -> None:
            self.append(name)

        return middleware

    def function(self, name: str) -> ProxyMiddleware:
        """Make a plain function."""

        def middleware(ctx: ProxyContext) -> None:
            self.append(name)

        return middleware

    def failing(self, name: str, error: BaseException) -> ProxyMiddleware:
        """Make one that fails."""

        async def middleware(ctx: ProxyContext) -> None:
            self.append(name)
            raise error

        return middleware

    def failing_after(self, name: str, error: BaseException) -> ProxyMiddleware:
        """Make one that fails after its yield."""

        async def middleware(ctx: ProxyContext) -> AsyncIterator[None]:
            self.append(name)
            yield
            self.append(f"after {name}{_error(ctx)}")
            raise error

        return middleware

    async def send(self, ctx: ProxyContext) -> None:
        """Be the target."""
        self.append("send")
        ctx.response = ProxyResponse.of(200)


def _error(ctx: ProxyContext) -> str:
    return "" if ctx.error is None else f": {type(ctx.error).__name__}"


def context() -> ProxyContext:
    """Make the context of one request."""
    request = incoming()
    return ProxyContext().copy_for(ProxyRequest(request, "/", "", request.headers.copy()))


def chain_of(*phased: tuple[int, ProxyMiddleware]) -> Chain:
    """Compile a chain of (phase, middleware) pairs."""
    return Chain(ProxyMiddlewareDef(phase, middleware) for phase, middleware in phased)
