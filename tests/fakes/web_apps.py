"""Plain aiohttp applications as real servers on loopback, for tests of what lives in one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from aiohttp import ClientSession, web
from yarl import URL

from edge import ProxyContext, configure_contexts

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(app: web.Application, *, handler_cancellation: bool = False) -> AsyncIterator[URL]:
    """Serve an application, as `web.run_app` would, until the block ends; gives its URL."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=handler_cancellation, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield URL(f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()


def app_of(handler: Handler) -> web.Application:
    """Make an application that answers everything with one handler."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{tail:.*}", handler)
    return app


@asynccontextmanager
async def target(handler: Handler) -> AsyncIterator[URL]:
    """Serve one handler, for a proxy to forward to."""
    async with serving(app_of(handler)) as url:
        yield url


@asynccontextmanager
async def proxied(handler: Handler, contexts: Iterable[ProxyContext]) -> AsyncIterator[URL]:
    """Serve a proxying handler in a plain application, which closes the contexts' sessions at its end."""
    app = app_of(handler)
    configure_contexts(app, contexts)
    async with serving(app) as url:
        yield url


def answering(text: str) -> Handler:
    """Make a handler that answers with a text."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=text)

    return handler


class Ask:
    """Asks an application and gives the status and the text of its answer."""

    def __init__(self, client: ClientSession, url: URL) -> None:
        self._client = client
        self._url = url

    async def __call__(self, method: str, path: str, host: str | None = None) -> tuple[int, str]:
        """Ask for a path, of the given host."""
        headers = {} if host is None else {"Host": host}
        async with self._client.request(method, self._url.join(URL(path)), headers=headers) as answer:
            return answer.status, await answer.text()
