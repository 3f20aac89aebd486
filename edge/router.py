"""`DynamicRouter`: domain, path, method; changed while requests are running.

One router, two ways to fill it. An application adds routes one by one (`add_get` and its kin) and attaches the router
as a resource. The edge swaps in whole tables, tenant by tenant, and asks `match`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web
from multidict import MultiMapping
from yarl import URL

from edge.domains import ANY_DOMAIN, DomainMap, Table, host_of, normalise_domain
from edge.errors import EdgeError
from edge.paths import canonical_text, has_parameters, without_parameters
from edge.routes import DomainRoutes, DynamicRoute, Overwrite, RouteHandler
from edge.shortcuts import MethodShortcuts
from edge.tables import NO_HEADERS, Conditions, DomainTable, Hit, Miss, TableRow

__all__ = ["Conditions", "DomainTable", "DynamicRouter", "Hit", "Miss", "TableRow"]

_CANONICAL = "/{tail:.*}"


class DynamicRouter(MethodShortcuts, web.AbstractResource):
    """Routes by domain, path and method, which may be added, overwritten and deleted at any time.

    A domain is a host, a mask ("*.bar" stands for what ends in ".bar"), or "*". The strict one is asked before masks,
    masks longest first, "*" last; a domain without the path leaves it to the next. Paths are written as
    `store.model.paths` says. GET serves HEAD too, unless the path has a route for HEAD.
    A request that has been matched is not touched by any change.
    """

    def __init__(self, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self._domains = DomainMap()
        self._added: dict[str, DomainRoutes] = {}
        self._prefix = ""

    # -- for the edge --------------------------------------------------------------------------------------------

    def match(
        self,
        host: str,
        path: str,
        method: str,
        headers: MultiMapping[str] = NO_HEADERS,
        query_string: str = "",
    ) -> Hit | Miss:
        """Find the route for a request: host and path in their normalised spelling, the query raw.

        EdgeError `bad_path` for a path that without its segments' parameters is another route's: what the one asks of
        a client must not be got past at a target that leaves them out. Unless the route itself names parameters.
        """
        found = self._domains.match(host, path, method, headers, query_string)
        if has_parameters(path) and isinstance(found, Hit) and not found.names_parameters:
            bare = self._domains.match(host, without_parameters(path), method, headers, query_string)
            if isinstance(bare, Hit) and bare.entry is not found.entry:
                raise EdgeError("bad_path", "another route's without its parameters")
        return found

    def swap(self, owner: str, tables: Mapping[str, Table]) -> None:
        """Give a tenant these domains, in their normalised spelling, and no others; between two requests, at once."""
        self._domains.swap(owner, tables)

    def owner(self, domain: str) -> str | None:
        """Name the tenant that has a domain, in its normalised spelling; None when nobody has."""
        return self._domains.owner(domain)

    # -- as a resource of an application -------------------------------------------------------------------------

    def attach(self, app: web.Application) -> None:
        """Let an application that is not yet running be served by this router; its own routes go first."""
        app.router.register_resource(self)

    async def resolve(self, request: web.Request) -> tuple[web.UrlMappingMatchInfo | None, set[str]]:
        """Find the route for an application's request, as aiohttp asks for it."""
        path = canonical_text(request.rel_url.raw_path)
        if self._prefix:
            if not path.startswith(f"{self._prefix}/"):
                return None, set()
            path = path.removeprefix(self._prefix)
        found = self._domains.match(
            host_of(request.headers.get("Host", "")),
            path,
            request.method,
            request.headers,
            request.rel_url.raw_query_string,
        )
        if isinstance(found, Miss):
            return None, set(found.allow)
        return web.UrlMappingMatchInfo(dict(found.params), found.entry), set()

    @property
    def canonical(self) -> str:
        """The path under which aiohttp files this resource: every one below its prefix."""
        return self._prefix + _CANONICAL

    def url_for(self, **kwargs: str) -> URL:  # noqa: ARG002
        """Refuse: there is no one URL."""
        raise RuntimeError(".url_for() is not supported by DynamicRouter")

    def add_prefix(self, prefix: str) -> None:
        """Serve below a prefix, as aiohttp asks of a sub-application's resources."""
        self._prefix = prefix + self._prefix

    def get_info(self) -> Any:
        """Tell the path."""
        return {"path": self.canonical}

    def raw_match(self, path: str) -> bool:  # noqa: ARG002
        """Say no: aiohttp asks this to add its own routes to a resource that is there already."""
        return False

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[web.AbstractRoute]:
        for routes in tuple(self._added.values()):
            yield from routes

    # -- domains -------------------------------------------------------------------------------------------------

    def add_domain(self, domain: str = ANY_DOMAIN, overwrite: bool = True) -> bool:
        """Add a domain without routes, in the place of the one there is; False if that is to be kept."""
        domain = normalise_domain(domain)
        if domain in self._added and not overwrite:
            return False
        self._put(domain)
        return True

    def get_domain(self, domain: str = ANY_DOMAIN) -> tuple[DynamicRoute, ...] | None:
        """List the routes of a domain, None if it was not added."""
        routes = self._added.get(normalise_domain(domain))
        return None if routes is None else tuple(routes)

    def contains_domain(self, domain: str = ANY_DOMAIN) -> bool:
        """Say whether the domain was added, by itself or with a route."""
        return normalise_domain(domain) in self._added

    def del_domain(self, domain: str = ANY_DOMAIN) -> bool:
        """Delete a domain and all its routes; True if there was one."""
        domain = normalise_domain(domain)
        if self._added.pop(domain, None) is None:
            return False
        self._domains.drop(domain, None)
        return True

    def del_domains(self) -> None:
        """Delete every domain that was added."""
        for domain in tuple(self._added):
            self.del_domain(domain)

    # -- handlers ------------------------------------------------------------------------------------------------

    def add_handler(
        self,
        method: str,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route and say whether it was set.

        `overwrite` False keeps the route that the method has. `overwrite_widecast` False keeps the one for any method
        beside it. ValueError for a bad method, path or domain.
        """
        return self._add(method, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def contains_handler(self, method: str, path: str, domain: str = ANY_DOMAIN, match_widecast: bool = True) -> bool:
        """Say whether there is a route for the method, or one for any method if that counts."""
        return self._find(method, path, domain, match_widecast) is not None

    def get_handler(
        self, method: str, path: str, domain: str = ANY_DOMAIN, match_widecast: bool = True
    ) -> RouteHandler | None:
        """Give the handler for the method, or the one for any method if that counts."""
        return self.get_handler_with_method(method, path, domain, match_widecast)[1]

    def get_handler_with_method(
        self, method: str, path: str, domain: str = ANY_DOMAIN, match_widecast: bool = True
    ) -> tuple[str, RouteHandler] | tuple[None, None]:
        """Give the handler and the method it was added for, "*" being any; (None, None) if there is none."""
        route = self._find(method, path, domain, match_widecast)
        return (None, None) if route is None else (route.method, route.original)

    def del_handler(self, method: str, path: str, domain: str = ANY_DOMAIN) -> bool:
        """Delete the route for exactly this method ("*" being any); True if there was one."""
        routes = self._added.get(normalise_domain(domain))
        return routes is not None and routes.delete(method.upper(), path)

    def del_handlers(self) -> None:
        """Delete every route, and every domain with them."""
        self.del_domains()

    def _add(self, method: str, path: str, handler: RouteHandler, domain: str, overwrite: Overwrite) -> bool:
        domain = normalise_domain(domain)
        route = DynamicRoute(method, path, handler, self)
        routes = self._added.get(domain) or DomainRoutes()
        is_set = routes.add(route, overwrite)
        if domain not in self._added:
            self._put(domain, routes)
        return is_set

    def _find(self, method: str, path: str, domain: str, match_widecast: bool) -> DynamicRoute | None:
        routes = self._added.get(normalise_domain(domain))
        return None if routes is None else routes.find(method.upper(), path, match_widecast=match_widecast)

    def _put(self, domain: str, routes: DomainRoutes | None = None) -> None:
        self._added[domain] = routes or DomainRoutes()
        self._domains.put(domain, self._added[domain], None)
