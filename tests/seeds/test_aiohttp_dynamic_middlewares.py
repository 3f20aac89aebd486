"""The samples of `seeds/aiohttp-dynamic.txt` about middlewares, and its promise of changes that break nothing."""

# The document prints, and so do its samples here.
# ruff: noqa: T201

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, TCPConnector, web

from edge import DynamicMiddleware, DynamicRouter
from tests.fakes.web_apps import Ask, Handler, answering, serving

# -- Dynamic middlewares -------------------------------------------------------------------------------------------


@asynccontextmanager
async def running_with(dynmw: DynamicMiddleware) -> AsyncIterator[Ask]:
    """Serve the samples' application with its middleware container."""
    app = web.Application(middlewares=[dynmw])
    app.router.add_get("/", answering("inside"))
    async with serving(app) as url, ClientSession() as client:
        yield Ask(client, url)


# The document's middlewares use `await` in a plain `def` and name the request `erquest`; here they are `async def`.
def printing(number: int) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
    """Make the document's middleware_1, middleware_2 and middleware_3."""

    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        print(f"middleware {number}")
        return await handler(request)

    return middleware


middleware_1, middleware_2, middleware_3 = printing(1), printing(2), printing(3)


async def test_a_middleware_is_added_after_the_server_was_started(capsys: pytest.CaptureFixture[str]) -> None:
    # Create Application and DynamicMiddleware container
    dynmw = DynamicMiddleware()
    async with running_with(dynmw) as ask:
        assert await ask("GET", "/") == (200, "inside")
        assert capsys.readouterr().out == ""
        # Add middlewares after server was started
        dynmw.add_handler(middleware_1)
        assert await ask("GET", "/") == (200, "inside")
        assert capsys.readouterr().out == "middleware 1\n"


async def test_middlewares_are_executed_in_a_strict_order(capsys: pytest.CaptureFixture[str]) -> None:
    dynmw = DynamicMiddleware()
    async with running_with(dynmw) as ask:
        dynmw.add_handler(middleware_1)
        dynmw.add_handler(middleware_2)
        # The document adds middleware_2 a second time, but prints what the third does.
        dynmw.add_handler(middleware_3)
        await ask("GET", "/")
        assert capsys.readouterr().out == "middleware 1\nmiddleware 2\nmiddleware 3\n"


async def test_middlewares_are_deleted_and_iterated_over(capsys: pytest.CaptureFixture[str]) -> None:
    dynmw = DynamicMiddleware()
    async with running_with(dynmw) as ask:
        dynmw.add_handler(middleware_3)
        # Delete all
        dynmw.del_handlers()
        assert len(dynmw) == 0

        # Add again
        dynmw.add_handler(middleware_1)
        dynmw.add_handler(middleware_2)
        dynmw.add_handler(middleware_2)

        # Delete middleware_2
        dynmw.del_handler(1)
        await ask("GET", "/")
        assert capsys.readouterr().out == "middleware 1\nmiddleware 2\n"

        # Iterate if you're brave enough
        for _mw in dynmw:
            print("Hellow World!")
        assert capsys.readouterr().out == "Hellow World!\n" * 2
        assert [entry.handler for entry in dynmw] == [middleware_1, middleware_2]


async def test_named_middlewares_are_added_overwritten_and_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    dynmw = DynamicMiddleware()
    async with running_with(dynmw) as ask:
        # Add named middleware
        assert dynmw.add_named_handler(middleware_1, "special-handler") is True
        dynmw.add_handler(middleware_3)
        assert dynmw.contains_named_handler("special-handler")

        # Overwrite named middleware, as the document writes it; and by the name that one would look for.
        assert dynmw.del_named_handler(middleware_3, "special-handler", overwrite=True) is True
        assert dynmw.get_named_handler("special-handler") is middleware_3
        assert dynmw.add_named_handler(middleware_2, "special-handler", overwrite=True) is True
        assert dynmw.add_named_handler(middleware_3, "special-handler", overwrite=False) is False
        await ask("GET", "/")
        assert capsys.readouterr().out == "middleware 2\nmiddleware 3\n"

        # Delete named middleware, as the document writes it; and by its name alone.
        assert dynmw.del_named_handler(middleware_2, "special-handler") is True
        assert dynmw.del_named_handler("special-handler") is False
        await ask("GET", "/")
        assert capsys.readouterr().out == "middleware 3\n"


# -- Update your routes and middlewares after run_app() without breaking anything ----------------------------------


async def test_no_matched_request_fails_while_routes_and_middlewares_change() -> None:
    in_flight = 300
    dyn, dynmw = DynamicRouter(), DynamicMiddleware()
    app = web.Application(middlewares=[dynmw])
    dyn.attach(app)
    arrived, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        arrived.release()
        await go_on.wait()
        return web.Response(text=f"slow {request.match_info['n']}")

    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        answer.headers["X-Counted"] = "yes"
        return answer

    dyn.add_get("/slow/{n:[0-9]+}", slow)
    dynmw.add_named_handler(counted, "counted")
    async with serving(app) as url, ClientSession(connector=TCPConnector(limit=0)) as client:

        async def ask(n: int) -> tuple[int, str, str | None]:
            async with client.get(url / "slow" / str(n)) as answer:
                return answer.status, await answer.text(), answer.headers.get("X-Counted")

        async with asyncio.TaskGroup() as group:
            requests = [group.create_task(ask(n)) for n in range(in_flight)]
            for _ in range(in_flight):
                await arrived.acquire()
            # All of them are matched and waiting. Change whatever there is under them, while more come in.
            await change_everything(dyn, dynmw, Ask(client, url))
            go_on.set()
    assert [request.result() for request in requests] == [(200, f"slow {n}", "yes") for n in range(in_flight)]


async def change_everything(dyn: DynamicRouter, dynmw: DynamicMiddleware, ask: Ask) -> None:
    """Add, overwrite and delete routes, domains and middlewares, each change in effect for the next request."""
    path = "/slow/{n:[0-9]+}"
    for n in range(200):
        dyn.add_get(f"/new/{n}", answering(str(n)), domain=f"d{n}.bar")
        dyn.add_any(path, answering("any"), overwrite=n % 2 == 0)
        dyn.add_get(path, answering(f"quick {n}"))
        dynmw.add_named_handler(passing_on, f"mw-{n % 7}")
        if n % 10 == 0:
            assert await ask("GET", "/slow/1") == (200, f"quick {n}")
            assert await ask("GET", f"/new/{n}", f"d{n}.bar") == (200, str(n))
        if n % 20 == 0:
            dyn.del_domain(f"d{n}.bar")
            assert dynmw.del_named_handler(f"mw-{n % 7}")
            assert (await ask("GET", f"/new/{n}", f"d{n}.bar"))[0] == 404
    assert dyn.del_handler("GET", path)
    dyn.del_handlers()
    dynmw.del_handlers()
    assert (await ask("GET", "/slow/1"))[0] == 404


async def passing_on(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Be a middleware that changes nothing."""
    return await handler(request)
