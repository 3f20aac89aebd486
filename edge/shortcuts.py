"""`add_get` and its kin: `add_handler` under the name of each method."""

from __future__ import annotations

import abc

from aiohttp import hdrs
from aiohttp.abc import AbstractView

from edge.domains import ANY_DOMAIN
from edge.routes import ANY_METHOD, Overwrite, RouteHandler


class MethodShortcuts(abc.ABC):
    """Adds routes as `DynamicRouter.add_handler` does; see there for the parameters."""

    @abc.abstractmethod
    def _add(self, method: str, path: str, handler: RouteHandler, domain: str, overwrite: Overwrite) -> bool:
        """Add a route and say whether it was set."""

    def add_get(
        self,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route for GET."""
        return self._add(hdrs.METH_GET, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def add_post(
        self,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route for POST."""
        return self._add(hdrs.METH_POST, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def add_put(
        self,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route for PUT."""
        return self._add(hdrs.METH_PUT, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def add_delete(
        self,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route for DELETE."""
        return self._add(hdrs.METH_DELETE, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def add_patch(
        self,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route for PATCH."""
        return self._add(hdrs.METH_PATCH, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def add_head(
        self,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route for HEAD."""
        return self._add(hdrs.METH_HEAD, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def add_options(
        self,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route for OPTIONS."""
        return self._add(hdrs.METH_OPTIONS, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def add_connect(
        self,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route for CONNECT."""
        return self._add(hdrs.METH_CONNECT, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def add_trace(
        self,
        path: str,
        handler: RouteHandler,
        domain: str = ANY_DOMAIN,
        overwrite: bool = True,
        overwrite_widecast: bool = True,
    ) -> bool:
        """Add a route for TRACE."""
        return self._add(hdrs.METH_TRACE, path, handler, domain, Overwrite(overwrite, overwrite_widecast))

    def add_any(self, path: str, handler: RouteHandler, domain: str = ANY_DOMAIN, overwrite: bool = True) -> bool:
        """Add a route for any method that the path has no route for."""
        return self._add(ANY_METHOD, path, handler, domain, Overwrite(overwrite))

    def add_view(
        self, path: str, handler: type[AbstractView], domain: str = ANY_DOMAIN, overwrite: bool = True
    ) -> bool:
        """Add a view class, for any method that the path has no route for."""
        return self._add(ANY_METHOD, path, handler, domain, Overwrite(overwrite))
