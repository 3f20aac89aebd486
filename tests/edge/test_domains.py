"""Which table serves a host, and whose it is."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, MultiMapping

from edge.domains import DomainMap, host_of, normalise_domain
from edge.tables import NO_ROUTE, UNCONDITIONAL, DomainTable, Hit, Miss, TableRow
from store.model.paths import PathPattern


class Serving:
    """A table that knows some paths and says whose it is."""

    def __init__(self, name: str, *paths: str) -> None:
        self._name = name
        self._paths = paths or ("/",)
        self.is_asked = False

    def match(self, path: str, method: str, headers: MultiMapping[str], query_string: str) -> Hit | Miss:
        """Match a path exactly; POST is never allowed."""
        self.is_asked = True
        if path not in self._paths:
            return NO_ROUTE
        if method == "POST":
            return Miss("method", frozenset({"GET"}))
        return Hit(self._name, PathPattern.parse(path), path)


def ask(domains: DomainMap, host: str, path: str = "/", method: str = "GET") -> str:
    """Give the entry that serves a host, or the kind of miss."""
    found = domains.match(host, path, method, CIMultiDict(), "")
    return str(found.entry) if isinstance(found, Hit) else found.kind


def test_exact_goes_before_masks_and_longer_masks_before_shorter() -> None:
    domains = DomainMap()
    for domain in ("*", "*.app", "*.acme.app", "shop.acme.app"):
        domains.put(domain, Serving(domain), None)
    assert len(domains) == 4
    assert ask(domains, "shop.acme.app") == "shop.acme.app"
    assert ask(domains, "x.acme.app") == ask(domains, "a.b.acme.app") == "*.acme.app"
    assert ask(domains, "acme.app") == "*.app"
    assert ask(domains, "app") == ask(domains, "[::1]") == ask(domains, "") == "*"


def test_a_domain_without_the_path_leaves_it_to_the_next_wider_one() -> None:
    domains = DomainMap()
    domains.put("shop.acme.app", Serving("exact", "/a"), None)
    domains.put("*.acme.app", Serving("mask", "/b"), None)
    domains.put("*", Serving("any", "/c"), None)
    assert [ask(domains, "shop.acme.app", path) for path in ("/a", "/b", "/c", "/d")] == [
        "exact",
        "mask",
        "any",
        "route",
    ]


def test_a_domain_with_the_path_but_not_the_method_does_not() -> None:
    domains = DomainMap()
    domains.put("shop.acme.app", Serving("exact"), None)
    domains.put("*.acme.app", Serving("mask"), None)
    found = domains.match("shop.acme.app", "/", "POST", CIMultiDict(), "")
    assert found == Miss("method", frozenset({"GET"}))


def test_nothing_falls_through_to_another_owners_domain() -> None:
    domains = DomainMap()
    domains.swap("acme", {"shop.acme.app": Serving("acme", "/a"), "*.app": Serving("acme's mask", "/b")})
    domains.swap("other", {"*.acme.app": Serving("other", "/b", "/c")})
    domains.put("*", Serving("anybody", "/c"), None)
    assert ask(domains, "shop.acme.app", "/b") == "acme's mask"
    assert ask(domains, "shop.acme.app", "/c") == "route"
    assert ask(domains, "x.acme.app", "/c") == "other"


def test_an_unknown_host_is_no_route_of_anybodys() -> None:
    domains = DomainMap()
    domains.swap("acme", {"shop.acme.app": Serving("acme")})
    assert ask(domains, "evil.test") == ask(domains, "shop.acme.app.evil.test") == "host"


def test_a_swap_replaces_all_domains_of_its_owner_and_nobody_elses() -> None:
    domains = DomainMap()
    domains.swap("acme", {"a.test": Serving("one"), "b.test": Serving("one")})
    domains.swap("other", {"c.test": Serving("other")})
    domains.swap("acme", {"b.test": Serving("two"), "*.d.test": Serving("two")})
    assert [ask(domains, f"{name}.test") for name in ("a", "b", "c", "x.d")] == ["host", "two", "other", "two"]
    domains.swap("acme", {})
    assert [ask(domains, f"{name}.test") for name in ("a", "b", "c", "x.d")] == ["host", "host", "other", "host"]
    assert len(domains) == 1


def test_a_domain_that_changed_hands_stays_with_the_last_one() -> None:
    domains = DomainMap()
    domains.swap("old", {"a.test": Serving("old")})
    domains.swap("new", {"a.test": Serving("new")})
    domains.swap("old", {})
    assert ask(domains, "a.test") == "new"


def test_a_table_is_not_asked_before_a_request_needs_it() -> None:
    domains, lazy = DomainMap(), Serving("lazy")
    domains.swap("acme", {"a.test": lazy})
    ask(domains, "b.test")
    assert not lazy.is_asked
    assert ask(domains, "a.test") == "lazy"


def test_a_domain_is_owned_by_whoever_had_it_last_until_it_is_dropped() -> None:
    domains = DomainMap()
    domains.swap("acme", {"a.test": Serving("one"), "*.a.test": Serving("one")})
    domains.swap("other", {"*.a.test": Serving("two")})
    assert (domains.owner("a.test"), domains.owner("*.a.test"), domains.owner("b.test")) == ("acme", "other", None)
    domains.swap("acme", {})
    assert (domains.owner("a.test"), domains.owner("*.a.test")) == (None, "other")


def test_a_domain_table_is_a_table() -> None:
    domains = DomainMap()
    row = TableRow(PathPattern.parse("/"), None, UNCONDITIONAL, 0, "entry")
    domains.put("a.test", DomainTable([row]), None)
    assert ask(domains, "a.test") == "entry"


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("*", "*"),
        ("Foo.BAR.:80", "foo.bar"),
        ("*.Bar", "*.bar"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_domain_has_one_spelling(text: str, domain: str) -> None:
    assert normalise_domain(text) == domain


@pytest.mark.parametrize("text", ["", "foo*.bar", "a.*.bar", "*bar", "a b", "*.*.bar"])
def test_what_is_neither_host_nor_mask_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host|domain"):
        normalise_domain(text)


@pytest.mark.parametrize(("field", "host"), [("Foo.bar:80", "foo.bar"), ("", ""), ("a b", ""), ("[::1]:80", "[::1]")])
def test_a_host_field_that_is_no_host_is_nobodys(field: str, host: str) -> None:
    assert host_of(field) == host
