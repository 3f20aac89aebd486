"""What an application adds to a `DynamicRouter` by hand, one domain's worth, and the table made of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.abc import AbstractView
from multidict import MultiMapping
from yarl import URL

from edge.tables import UNCONDITIONAL, DomainTable, Hit, Miss, TableRow
from store.model.paths import PathPattern

ANY_METHOD = hdrs.METH_ANY

# A coroutine function, a function that gives a response or something to await, or a view class.
RouteHandler = Callable[[web.Request], Any]

# A pattern may be written with any letters; requests' paths arrive percent-encoded. The syntax of patterns is ASCII.
_PATTERN_CHARACTERS = "".join(chr(code) for code in range(0x21, 0x7F))


class Overwrite(NamedTuple):
    """What a new route may take the place of: its method's own route, and the one for any method."""

    strict: bool = True
    widecast: bool = True


class DynamicRoute(web.AbstractRoute):
    """A handler for one method (or "*") of one path; `original` is the handler as it was given."""

    def __init__(self, method: str, path: str, handler: RouteHandler, resource: web.AbstractResource) -> None:
        """The handler may be a coroutine function, any other callable, or a view class; ValueError for a bad method."""
        super().__init__(method, _as_coroutine_function(handler), resource=resource)
        self.path = path
        self.original = handler

    @property
    def name(self) -> str | None:
        """The router's name, as aiohttp wants it of its routes."""
        return None if self._resource is None else self._resource.name

    def get_info(self) -> Any:
        """Tell the path."""
        return {"path": self.path}

    def url_for(self, *args: str, **kwargs: str) -> URL:  # noqa: ARG002
        """Refuse: a route that may be gone in the next moment has no URL to print."""
        raise RuntimeError(".url_for() is not supported by dynamic routes")


def _as_coroutine_function(handler: RouteHandler) -> Any:
    """Make of any handler one that aiohttp takes without a warning."""
    if isinstance(handler, type) and issubclass(handler, AbstractView):
        return handler
    if not callable(handler):
        raise TypeError(f"a handler is called with the request: {handler!r}")
    if inspect.iscoroutinefunction(handler):
        return handler

    @functools.wraps(handler)
    async def call(request: web.Request) -> web.StreamResponse:
        result: Any = cast(RouteHandler, handler)(request)
        return cast(web.StreamResponse, await result if inspect.isawaitable(result) else result)

    return call


class DomainRoutes:
    """The routes added for one domain. It matches by a table that is made again after a change, when next asked."""

    __slots__ = ("_by_path", "_patterns", "_table")

    def __init__(self) -> None:
        self._by_path: dict[str, dict[str, DynamicRoute]] = {}
        self._patterns: dict[str, PathPattern] = {}
        self._table: DomainTable | None = None

    def __iter__(self) -> Iterator[DynamicRoute]:
        """Give the routes there are now; they may change meanwhile."""
        return iter([route for by_method in self._by_path.values() for route in by_method.values()])

    def match(self, path: str, method: str, headers: MultiMapping[str], query_string: str) -> Hit | Miss:
        """Find the route for a request."""
        if self._table is None:
            self._table = DomainTable(
                TableRow(
                    self._patterns[path],
                    None if route.method == ANY_METHOD else frozenset((route.method,)),
                    UNCONDITIONAL,
                    0,
                    route,
                )
                for path, by_method in self._by_path.items()
                for route in by_method.values()
            )
        return self._table.match(path, method, headers, query_string)

    def add(self, route: DynamicRoute, overwrite: Overwrite) -> bool:
        """Add a route and say whether it was; ValueError for a path that cannot be parsed.

        A route for a method, added where only "*" has one, stands beside it, or in its place if it may overwrite it.
        """
        if route.path not in self._patterns:
            self._patterns[route.path] = PathPattern.parse(quote(route.path, safe=_PATTERN_CHARACTERS))
        by_method = self._by_path.setdefault(route.path, {})
        if route.method in by_method:
            if not overwrite.strict:
                return False
        elif overwrite.widecast:
            by_method.pop(ANY_METHOD, None)
        by_method[route.method] = route
        self._table = None
        return True

    def find(self, method: str, path: str, *, match_widecast: bool) -> DynamicRoute | None:
        """Give the route added for a method of a path as it is written, else the one for "*" if that will do."""
        by_method = self._by_path.get(path, {})
        return by_method.get(method) or (by_method.get(ANY_METHOD) if match_widecast else None)

    def delete(self, method: str, path: str) -> bool:
        """Delete a route and say whether there was one."""
        by_method = self._by_path.get(path, {})
        if by_method.pop(method, None) is None:
            return False
        if not by_method:
            del self._by_path[path]
            del self._patterns[path]
        self._table = None
        return True
