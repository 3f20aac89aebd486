"""`DynamicRouter` beyond what its document shows: its whole face, and its place in an application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web
from multidict import CIMultiDict

from edge import DynamicRouter, HTTPProxyHandler, ProxyContext, configure_contexts
from edge.errors import EdgeError
from edge.tables import UNCONDITIONAL, DomainTable, Hit, Miss, TableRow
from store.model.paths import PathPattern
from tests.fakes.web_apps import Ask, answering, serving, target


@asynccontextmanager
async def asking(app: web.Application) -> AsyncIterator[Ask]:
    """Serve an application and ask it."""
    async with serving(app) as url, ClientSession() as client:
        yield Ask(client, url)


def attached(dyn: DynamicRouter) -> web.Application:
    app = web.Application()
    dyn.attach(app)
    return app


# -- Adding and asking what was added ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "CONNECT", "TRACE", "ANY"]
)
def test_there_is_an_add_for_every_method(method: str) -> None:
    dyn = DynamicRouter()
    add = getattr(dyn, f"add_{method.lower()}")
    handler = answering("x")
    assert add("/a", handler, domain="a.test") is True
    assert add("/a", handler, domain="a.test", overwrite=False) is False
    stored = "*" if method == "ANY" else method
    assert dyn.get_handler_with_method(stored, "/a", "a.test") == (stored, handler)
    assert dyn.get_handler(stored, "/a") is None
    assert dyn.del_handler(stored.lower(), "/a", domain="a.test")


def test_the_handler_is_given_back_as_it_was_given() -> None:
    def plain(request: web.Request) -> web.Response:
        return web.Response()

    dyn = DynamicRouter()
    dyn.add_any("/a", plain)
    assert dyn.get_handler("GET", "/a") is plain
    assert dyn.get_handler("GET", "/a", match_widecast=False) is None
    assert dyn.get_handler_with_method("GET", "/a") == ("*", plain)
    assert dyn.get_handler_with_method("GET", "/b") == (None, None)


def test_domains_are_added_asked_for_and_deleted() -> None:
    dyn = DynamicRouter()
    assert dyn.add_domain("Foo.bar") is True
    assert dyn.add_domain("foo.bar", overwrite=False) is False
    assert (dyn.contains_domain("foo.BAR"), dyn.contains_domain("*.bar"), dyn.contains_domain()) == (True, False, False)
    assert dyn.get_domain("foo.bar") == ()
    assert dyn.get_domain("*.bar") is None
    dyn.add_get("/a", answering("a"), domain="foo.bar")
    routes = dyn.get_domain("foo.bar")
    assert routes is not None
    assert [(route.method, route.path) for route in routes] == [("GET", "/a")]
    assert dyn.add_domain("foo.bar", overwrite=True) is True
    assert dyn.get_domain("foo.bar") == ()
    dyn.add_get("/a", answering("a"))
    dyn.del_domains()
    assert not dyn.contains_domain()
    assert len(dyn) == 0


def test_a_router_counts_and_gives_its_routes() -> None:
    dyn = DynamicRouter()
    dyn.add_get("/a", answering("a"))
    dyn.add_post("/a", answering("a"))
    dyn.add_any("/b", answering("b"), domain="*.bar")
    assert len(dyn) == 3
    assert sorted(route.method for route in dyn) == ["*", "GET", "POST"]
    for route in dyn:
        dyn.del_handler(route.method, route.get_info()["path"], "*.bar" if route.method == "*" else "*")
    assert len(dyn) == 0


@pytest.mark.parametrize(
    ("method", "path", "domain"),
    [
        ("GET", "no-slash", "*"),
        ("GET", "/{broken", "*"),
        ("GET", "/{x:(}", "*"),
        ("G T", "/a", "*"),
        ("GET", "/a", "foo*.bar"),
        ("GET", "/a", "a b"),
    ],
)
def test_what_cannot_be_routed_is_refused_and_changes_nothing(method: str, path: str, domain: str) -> None:
    dyn = DynamicRouter()
    with pytest.raises(ValueError, match=r"."):
        dyn.add_handler(method, path, answering("x"), domain)
    assert len(dyn) == 0
    assert not dyn.contains_domain()


def test_what_cannot_be_called_is_no_handler() -> None:
    with pytest.raises(TypeError, match="called with the request"):
        DynamicRouter().add_get("/a", "not callable")  # type: ignore[arg-type]


# -- In an application ---------------------------------------------------------------------------------------------


async def test_parameters_arrive_decoded_in_match_info() -> None:
    async def show(request: web.Request) -> web.Response:
        return web.json_response(dict(request.match_info))

    dyn = DynamicRouter()
    dyn.add_get("/users/{id:[0-9]+}/{what}", show)
    dyn.add_get("/files/{tail:.*}", show)
    async with asking(attached(dyn)) as ask:
        assert await ask("GET", "/users/42/a%20b") == (200, '{"id": "42", "what": "a b"}')
        assert await ask("GET", "/files/a/b%2Fc") == (200, '{"tail": "a/b/c"}')
        assert (await ask("GET", "/users/x/a"))[0] == 404


async def test_a_path_written_with_any_letters_meets_requests_for_it() -> None:
    dyn = DynamicRouter()
    dyn.add_get("/caf\u00e9", answering("exact"))
    dyn.add_get("/caf\u00e9/{x}", answering("parameter"))
    async with asking(attached(dyn)) as ask:
        assert await ask("GET", "/caf%C3%A9") == await ask("GET", "/caf%c3%a9") == (200, "exact")
        assert await ask("GET", "/caf\u00e9/x") == (200, "parameter")
    assert dyn.contains_handler("GET", "/caf\u00e9")
    assert dyn.del_handler("GET", "/caf\u00e9")


async def test_a_missing_method_is_told_with_what_is_allowed() -> None:
    dyn = DynamicRouter()
    dyn.add_get("/a", answering("a"))
    dyn.add_put("/{x}", answering("x"))
    async with serving(attached(dyn)) as url, ClientSession() as client, client.post(url / "a") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD,PUT")


async def test_get_serves_head_unless_head_is_routed() -> None:
    dyn = DynamicRouter()
    dyn.add_get("/a", answering("a"))
    async with serving(attached(dyn)) as url, ClientSession() as client:
        async with client.head(url / "a") as answer:
            assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (200, "1", b"")
        dyn.add_head("/a", lambda _: web.Response(status=204))
        async with client.head(url / "a") as answer:
            assert answer.status == 204


async def test_an_applications_own_routes_stay_beside_it() -> None:
    dyn = DynamicRouter()
    app = web.Application()
    app.router.add_get("/own", answering("own"))
    dyn.attach(app)
    app.router.add_get("/later", answering("later"))
    dyn.add_get("/own", answering("dynamic"))
    dyn.add_get("/new", answering("new"))
    async with asking(app) as ask:
        assert await ask("GET", "/own") == (200, "own")
        assert await ask("GET", "/later") == (200, "later")
        assert await ask("GET", "/new") == (200, "new")


async def test_two_routers_live_in_one_application() -> None:
    one, other = DynamicRouter(name="one"), DynamicRouter()
    app = attached(one)
    other.attach(app)
    one.add_get("/one", answering("1"))
    other.add_get("/other", answering("2"))
    async with asking(app) as ask:
        assert await ask("GET", "/one") == (200, "1")
        assert await ask("GET", "/other") == (200, "2")
        assert (await ask("GET", "/none"))[0] == 404


async def test_a_router_serves_below_a_sub_applications_prefix() -> None:
    dyn = DynamicRouter()
    outer, inner = web.Application(), attached(dyn)
    outer.add_subapp("/inner/", inner)
    dyn.add_get("/a/{x}", answering("a"))
    async with asking(outer) as ask:
        assert await ask("GET", "/inner/a/1") == (200, "a")
        assert (await ask("GET", "/a/1"))[0] == 404
        assert (await ask("GET", "/innera/1"))[0] == 404


async def test_handlers_of_every_sort_are_called() -> None:
    class View(web.View):
        """Knows GET and POST."""

        async def get(self) -> web.Response:
            """Answer."""
            return web.Response(text="view")

    class Callable:
        async def __call__(self, request: web.Request) -> web.Response:
            return web.Response(text="object")

    async with target(answering("proxied")) as url:
        ctx = ProxyContext(url=url)
        dyn = DynamicRouter()
        app = attached(dyn)
        configure_contexts(app, [ctx])
        async with asking(app) as ask:
            dyn.add_view("/view", View)
            dyn.add_get("/object", Callable())
            dyn.add_get("/lambda", lambda _: web.Response(text="lambda"))
            dyn.add_any("/proxy", HTTPProxyHandler(context=ctx))
            for name in ("view", "object", "lambda"):
                assert await ask("GET", f"/{name}") == (200, name)
            assert await ask("GET", "/proxy") == (200, "proxied")
            assert (await ask("POST", "/view"))[0] == 405


def test_a_dynamic_route_has_no_url() -> None:
    dyn = DynamicRouter()
    dyn.add_get("/a", answering("a"))
    for thing in (dyn, *dyn):
        with pytest.raises(RuntimeError, match="url_for"):
            thing.url_for()


# -- For the edge --------------------------------------------------------------------------------------------------


def test_tables_are_swapped_in_by_owner_and_matched() -> None:
    dyn = DynamicRouter()
    table = DomainTable([TableRow(PathPattern.parse("/v1/{x}"), frozenset({"GET"}), UNCONDITIONAL, 0, "entry")])
    dyn.swap("acme", {"shop.acme.com": table})
    hit = dyn.match("shop.acme.com", "/v1/a", "GET", CIMultiDict(), "")
    assert isinstance(hit, Hit)
    assert (hit.entry, dict(hit.params)) == ("entry", {"x": "a"})
    assert dyn.match("shop.acme.com", "/v1/a", "POST") == Miss("method", frozenset({"GET", "HEAD"}))
    assert dyn.match("shop.acme.com", "/", "GET") == Miss("route")
    assert dyn.match("evil.test", "/v1/a", "GET") == Miss("host")
    dyn.swap("acme", {})
    assert dyn.match("shop.acme.com", "/v1/a", "GET") == Miss("host")


def routed(*patterns: str) -> DynamicRouter:
    dyn = DynamicRouter()
    rows = [TableRow(PathPattern.parse(each), None, UNCONDITIONAL, 0, each) for each in patterns]
    dyn.swap("acme", {"shop.acme.com": DomainTable(rows)})
    return dyn


@pytest.mark.parametrize("path", ["/admin;x/y", "/admin%3Bx/y", "/admin;x", "/admin;/y;v=1", "/users/42;v=1"])
def test_a_path_that_is_another_routes_without_its_parameters_is_refused(path: str) -> None:
    dyn = routed("/*", "/admin/*", "/users/{id:[0-9]+}")
    with pytest.raises(EdgeError, match="bad_path"):
        dyn.match("shop.acme.com", path, "GET")


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/a;v=1/b", "/*"),
        ("/admin/y;v=1", "/admin/*"),
        ("/items/42;v=1", "/items/{id}"),
        ("/cars;color=red/1", "/cars;color=red/*"),
        ("/b%3Bx", "/b%3Bx"),
    ],
)
def test_parameters_that_lead_to_the_same_route_or_that_a_route_names_are_served(path: str, route: str) -> None:
    dyn = routed("/*", "/admin/*", "/items/{id}", "/cars/*", "/cars;color=red/*", "/b", "/b%3Bx")
    found = dyn.match("shop.acme.com", path, "GET")
    assert isinstance(found, Hit)
    assert found.entry == route


def test_parameters_without_which_there_is_no_route_are_served() -> None:
    dyn = routed("/{name:[^/]{4}}")
    assert isinstance(dyn.match("shop.acme.com", "/ab;x", "GET"), Hit)
    assert isinstance(dyn.match("shop.acme.com", "/abcd;x", "GET"), Miss)


async def test_an_application_is_asked_for_paths_as_they_are() -> None:
    dyn = DynamicRouter()
    dyn.add_get("/admin/{rest:.*}", answering("admin"))
    dyn.add_get("/{rest:.*}", answering("all"))
    async with asking(attached(dyn)) as ask:
        assert await ask("GET", "/admin;x/y") == (200, "all")
