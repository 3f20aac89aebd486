"""Paths of the edge's own, before every route of a tenant."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from edge.reserved import ReservedTable
from edge.tables import NO_ROUTE, UNCONDITIONAL, Conditions, DomainTable, Hit, TableRow
from store.model import PathPattern


def row(path: str, entry: str, conditions: Conditions = UNCONDITIONAL, priority: int = 0) -> TableRow:
    return TableRow(PathPattern.parse(path), None, conditions, priority, entry)


PAGES = DomainTable([row("/.portico/login", "login")])
ROUTES = DomainTable(
    [
        row("/*", "all"),
        row("/.portico/login", "mine", Conditions((("X-A", "1"),)), 1_000_000),
        row("/{a}/{b}", "two"),
        row("/{rest:.*}", "any"),
    ]
)


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("/.portico/login", "login"),
        ("/.portico/other", None),
        ("/.portico/", None),
        ("/.portico", "all"),
        ("/.porticos/login", "two"),
        ("/x/.portico/login", "all"),
    ],
)
def test_what_is_under_the_prefix_no_route_serves(path: str, entry: str | None) -> None:
    found = ReservedTable(ROUTES, PAGES).match(path, "GET", CIMultiDict({"X-A": "1"}), "")
    assert (found.entry if isinstance(found, Hit) else found) == (entry or NO_ROUTE)


def test_without_pages_the_prefix_leads_nowhere() -> None:
    assert ReservedTable(ROUTES, DomainTable(())).match("/.portico/login", "GET", CIMultiDict(), "") == NO_ROUTE
