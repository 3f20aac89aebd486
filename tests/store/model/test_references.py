"""store/model/references.py: names that lead nowhere, each with its place, whatever else is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from store.model.references import dangling
from tests.store.model.documents import document, faults_in, route, upstream, with_route


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"upstream": "shopp"}, "routes[0].upstream: no upstream named 'shopp'; did you mean 'shop'?"),
        ({"upstream": "web"}, "routes[0].upstream: no upstream named 'web'"),
        ({"auth": ["key"]}, "routes[0].auth[0]: no auth method named 'key'; did you mean 'keys'?"),
        ({"auth": ["keys", "users"]}, "routes[0].auth[1]: no auth method named 'users'"),
        ({"limits": ["per-ip", "per-kex"]}, "routes[0].limits[1]: no limit named 'per-kex'; did you mean 'per-key'?"),
        ({"domains": ["shop.acme.co"]},
         "routes[0].domains[0]: 'shop.acme.co' is not a domain of this tenant; did you mean 'shop.acme.com'?"),
        ({"domains": ["a.acme.app"]},
         "routes[0].domains[0]: 'a.acme.app' is not a domain of this tenant; did you mean '*.acme.app'?"),
    ],
)  # fmt: skip
def test_a_reference_to_nothing_is_named(fields: dict[str, Any], line: str) -> None:
    assert faults_in(with_route(**fields)) == [line]


def test_each_share_of_a_split_is_looked_up() -> None:
    shares = [{"upstream": "shop", "weight": 1}, {"upstream": "shob", "weight": 1}, {"upstream": "x", "weight": 1}]
    raw = document(routes=[{"name": "api", "path": "/", "split": shares}])
    assert faults_in(raw) == [
        "routes[0].split[1].upstream: no upstream named 'shob'; did you mean 'shop'?",
        "routes[0].split[2].upstream: no upstream named 'x'",
    ]


def test_domains_are_compared_in_their_one_spelling() -> None:
    raw = document(domains=["Bücher.example.", {"host": "SHOP.acme.com"}])
    raw["routes"] = [route(domains=["xn--bcher-kva.EXAMPLE", "shop.acme.com."])]
    assert list(dangling(raw, raw["routes"])) == []


def test_what_is_declared_but_wrong_is_not_missing_as_well() -> None:
    raw = document(
        upstreams={"shop": None}, auth={"keys": {"type": 5}}, limits={"per-ip": []}, routes=[route(auth=["keys"])]
    )
    raw["routes"][0]["limits"] = ["per-ip"]
    assert faults_in(raw) == [
        "upstreams.shop: is empty; expected a mapping",
        "auth.keys.type: expected 'api_key', 'jwt', 'session', 'forward', 'basic': put it in quotes",
        "limits.per-ip: expected a mapping",
    ]


@pytest.mark.parametrize("section", ["upstreams", "auth", "limits", "domains"])
def test_where_a_section_cannot_be_read_nothing_in_it_is_missing(section: str) -> None:
    raw = document(routes=[route(auth=["keys"], limits=["per-ip"], domains=["shop.acme.com"])])
    raw[section] = 5
    kind = "a list" if section == "domains" else "a mapping"
    assert faults_in(raw) == [f"{section}: expected {kind}"]


def test_where_one_domain_cannot_be_read_no_route_is_told_that_a_domain_is_foreign() -> None:
    raw = document(domains=["shop acme.com"], routes=[route(domains=["shop.acme.com"])])
    assert faults_in(raw) == ["domains[0]: not a hostname"]


def test_a_route_that_is_wrong_otherwise_has_its_references_checked() -> None:
    raw = with_route(path="v1", methods="GET", upstream="shopp")
    assert faults_in(raw) == [
        "routes[0].path: a path begins with '/'",
        "routes[0].upstream: no upstream named 'shopp'; did you mean 'shop'?",
        "routes[0].methods: expected a list",
    ]


def test_a_reference_that_is_no_name_at_all_is_one_fault() -> None:
    assert len(faults_in(with_route(upstream="a b"))) == 1
    assert len(faults_in(with_route(auth=["a b"]))) == 1


def test_entries_beyond_the_bound_are_declared_all_the_same() -> None:
    upstreams = {f"u{at}": upstream() for at in range(300)}
    assert faults_in(document(upstreams=upstreams, routes=[route(upstream="u299")])) == [
        "upstreams: has 300 entries; at most 256 are accepted"
    ]


@pytest.mark.parametrize("routes", [None, 5, "x", {}, [None], [5], [{"split": 5, "auth": "x", "upstream": []}], [{}]])
def test_what_is_no_route_refers_to_nothing(routes: object) -> None:
    assert list(dangling(document(), routes)) == []
