"""Paths that are the edge's own on every host: no route of a tenant serves them, nor does any target see them."""

from __future__ import annotations

from multidict import MultiMapping

from edge.tables import DomainTable, Hit, Miss
from store.model.paths import RESERVED_PREFIX


class ReservedTable:
    """The routes of a domain, behind the edge's own pages for it; where it has none, their paths lead nowhere."""

    __slots__ = ("_pages", "_routes")

    def __init__(self, routes: DomainTable, pages: DomainTable) -> None:
        self._routes = routes
        self._pages = pages

    def match(self, path: str, method: str, headers: MultiMapping[str], query_string: str) -> Hit | Miss:
        """Find the page or the route for a request."""
        table = self._pages if path.startswith(RESERVED_PREFIX) else self._routes
        return table.match(path, method, headers, query_string)
