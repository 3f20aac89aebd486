"""Every code sample of `seeds/aiohttp-dynamic.txt`, run as the document shows it, against real servers on loopback.

`web.run_app` blocks, so the samples' "after run_app" is here: after the application's runner has frozen and started it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web

from edge import DynamicRouter
from tests.fakes.web_apps import Ask, answering, serving


@asynccontextmanager
async def running(dyn: DynamicRouter) -> AsyncIterator[Ask]:
    """Serve the samples' application: attached, frozen, started."""
    app = web.Application()
    dyn.attach(app)
    async with serving(app) as url, ClientSession() as client:
        assert app.frozen
        yield Ask(client, url)


OK = (200, '{"message": "ok"}')


# The sample's handler is a plain function, as here.
def handler(request: web.Request) -> web.Response:
    """Answer as the document's handler does."""
    return web.json_response({"message": "ok"})


# -- Dynamic routing -----------------------------------------------------------------------------------------------


async def test_a_handler_is_attached_after_the_application_was_frozen() -> None:
    # Create Application, DynamicRouter and attach it
    dyn = DynamicRouter()
    async with running(dyn) as ask:
        assert (await ask("GET", "/myroute"))[0] == 404
        # Example of attaching after app was frozen
        assert dyn.add_get("/myroute", handler) is True
        assert await ask("GET", "/myroute") == OK
        assert (await ask("POST", "/myroute"))[0] == 405


async def test_the_router_may_be_registered_as_a_resource() -> None:
    dyn = DynamicRouter()
    app = web.Application()
    app.router.register_resource(dyn)
    async with serving(app) as url, ClientSession() as client:
        dyn.add_get("/myroute", handler)
        assert await Ask(client, url)("GET", "/myroute") == OK


async def test_an_existing_route_is_overwritten_and_deleted() -> None:
    dyn = DynamicRouter()
    dyn.add_get("/myroute", answering("old"))
    async with running(dyn) as ask:
        assert await ask("GET", "/myroute") == (200, "old")
        # overwrite is True by default, but do it explicitly
        assert dyn.add_get("/myroute", handler, overwrite=True) is True
        assert await ask("GET", "/myroute") == OK

        assert dyn.add_get("/myroute", answering("too late"), overwrite=False) is False
        assert await ask("GET", "/myroute") == OK

        # Delete this route
        assert dyn.del_handler("GET", "/myroute") is True
        assert (await ask("GET", "/myroute"))[0] == 404
        assert dyn.del_handler("GET", "/myroute") is False


async def test_a_strict_handler_stands_beside_a_widecast_one() -> None:
    dyn = DynamicRouter()
    async with running(dyn) as ask:
        # Create a widecast handler
        dyn.add_any("/myroute", answering("1"))
        # Do not overwrite it and create a separate strict GET handler
        dyn.add_get("/myroute", answering("2"), overwrite_widecast=False)
        assert await ask("GET", "/myroute") == (200, "2")
        assert await ask("POST", "/myroute") == (200, "1")
        assert await ask("DELETE", "/myroute") == (200, "1")


async def test_a_strict_handler_overwrites_a_widecast_one_by_default() -> None:
    dyn = DynamicRouter()
    async with running(dyn) as ask:
        dyn.add_any("/myroute", answering("1"))
        dyn.add_get("/myroute", answering("2"))
        assert await ask("GET", "/myroute") == (200, "2")
        assert (await ask("POST", "/myroute"))[0] == 405


def test_contains_handler_counts_the_widecast_one_unless_told_not_to() -> None:
    dyn = DynamicRouter()
    dyn.add_any("/myroute", handler)
    # Will return True if there is GET of Any (*) handler
    assert dyn.contains_handler("GET", "/myroute") is True
    # Will return True only if there is GET handler
    assert dyn.contains_handler("GET", "/myroute", match_widecast=False) is False
    dyn.add_get("/myroute", handler, overwrite_widecast=False)
    assert dyn.contains_handler("GET", "/myroute", match_widecast=False) is True
    assert dyn.contains_handler("GET", "/other") is False


async def test_all_handlers_are_cleared() -> None:
    dyn = DynamicRouter()
    async with running(dyn) as ask:
        dyn.add_get("/myroute", handler)
        dyn.add_get("/myroute", handler, domain="foo.bar")
        # Finally you can clear all handlers:
        dyn.del_handlers()
        assert (await ask("GET", "/myroute"))[0] == 404
        assert (await ask("GET", "/myroute", "foo.bar"))[0] == 404
        assert len(dyn) == 0


# -- Dynamic domain routing ----------------------------------------------------------------------------------------


async def test_a_handler_works_only_for_its_domain() -> None:
    dyn = DynamicRouter()
    async with running(dyn) as ask:
        # This handler works only for requests to foo.bar
        dyn.add_get("/myroute", handler, domain="foo.bar")
        assert await ask("GET", "/myroute", "foo.bar") == OK
        assert (await ask("GET", "/myroute", "bar.foo"))[0] == 404
        assert (await ask("GET", "/myroute"))[0] == 404


@pytest.mark.parametrize("host", ["foo.bar:8080", "FOO.bar", "foo.bar.", "Foo.Bar.:80"])
async def test_a_domain_is_known_in_every_spelling_of_host(host: str) -> None:
    dyn = DynamicRouter()
    async with running(dyn) as ask:
        dyn.add_get("/myroute", handler, domain="foo.bar")
        assert await ask("GET", "/myroute", host) == OK


async def test_a_strict_domain_goes_before_a_mask_and_a_mask_before_any() -> None:
    dyn = DynamicRouter()
    async with running(dyn) as ask:
        dyn.add_get("/myroute2", answering("any"))
        # Add route handler for domain *.bar
        # This route has less priority than foo.bar and will be called for bar.bar, but not for foo.bar
        dyn.add_get("/myroute2", answering("mask"), domain="*.bar")
        # Add route handler for domain foo.bar
        dyn.add_get("/myroute2", answering("strict"), domain="foo.bar")
        dyn.add_get("/myroute2", answering("longer mask"), domain="*.foo.bar")

        assert await ask("GET", "/myroute2", "foo.bar") == (200, "strict")
        assert await ask("GET", "/myroute2", "bar.bar") == (200, "mask")
        assert await ask("GET", "/myroute2", "a.foo.bar") == (200, "longer mask")
        assert await ask("GET", "/myroute2", "bar") == (200, "any")
        assert await ask("GET", "/myroute2", "foo.baz") == (200, "any")


async def test_a_strict_domain_without_the_path_leaves_it_to_the_mask() -> None:
    dyn = DynamicRouter()
    async with running(dyn) as ask:
        dyn.add_get("/here", answering("strict"), domain="foo.bar")
        dyn.add_get("/there", answering("mask"), domain="*.bar")
        dyn.add_post("/here", answering("mask"), domain="*.bar")
        assert await ask("GET", "/there", "foo.bar") == (200, "mask")
        # The strict domain has the path, so its methods are the ones there are.
        assert (await ask("POST", "/here", "foo.bar"))[0] == 405


async def test_all_routes_of_a_domain_are_deleted() -> None:
    dyn = DynamicRouter()
    async with running(dyn) as ask:
        dyn.add_get("/myroute", handler, domain="*.bar")
        dyn.add_get("/myroute2", handler, domain="*.bar")
        dyn.add_get("/myroute", handler, domain="foo.baz")
        # You can delete all routes that belong to certain domain (or mask):
        assert dyn.del_domain("*.bar") is True
        assert (await ask("GET", "/myroute", "foo.bar"))[0] == 404
        assert (await ask("GET", "/myroute2", "foo.bar"))[0] == 404
        assert await ask("GET", "/myroute", "foo.baz") == OK
        assert dyn.del_domain("*.bar") is False


# -- A bit of explanation about priorities -------------------------------------------------------------------------


async def test_unused_methods_of_a_view_get_handlers_without_removing_the_view() -> None:
    class View(web.View):
        """Knows GET alone."""

        async def get(self) -> web.Response:
            """Answer."""
            return web.Response(text="view")

    dyn = DynamicRouter()
    async with running(dyn) as ask:
        dyn.add_view("/myroute", View)
        assert (await ask("POST", "/myroute"))[0] == 405
        dyn.add_post("/myroute", answering("post"), overwrite_widecast=False)
        assert await ask("GET", "/myroute") == (200, "view")
        assert await ask("POST", "/myroute") == (200, "post")
