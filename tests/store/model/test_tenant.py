"""store/model/tenant.py: the document's own fields."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import dump_document, parse_document
from tests.store.model.documents import document, faults_in, route

SLUG = "tenant: expected a to z, 0 to 9 and '-', at most 63 of them, a letter or digit first and last"


@pytest.mark.parametrize("tenant", ["a", "acme", "a-1", "0", "a" * 63, "a--b"])
def test_a_tenant_has_a_slug(tenant: str) -> None:
    assert parse_document({"tenant": tenant}).tenant == tenant


@pytest.mark.parametrize("tenant", ["", "-a", "a-", "A", "a_b", "a.b", "a" * 64, "é", "acme\n", "../a"])
def test_what_is_no_slug_is_refused(tenant: str) -> None:
    assert faults_in({"tenant": tenant}) == [SLUG]


def test_a_domain_is_written_short_when_it_says_no_more_than_its_host() -> None:
    domains = ["Shop.acme.com.", {"host": "*.acme.app"}, {"host": "w.acme.test", "verified_by": "operator"}]
    parsed = parse_document(document(domains=domains, routes=[route(domains=["SHOP.acme.com"])]))
    assert [domain.host for domain in parsed.domains] == ["shop.acme.com", "*.acme.app", "w.acme.test"]
    dumped = dump_document(parsed)
    assert dumped["domains"] == ["shop.acme.com", "*.acme.app", {"host": "w.acme.test", "verified_by": "operator"}]
    assert dumped["routes"][0]["domains"] == ["shop.acme.com"]


@pytest.mark.parametrize(
    ("domain", "line"),
    [
        ("10.0.0.1", "domains[0]: an IP address is not a domain"),
        ({"host": "10.0.0.1"}, "domains[0].host: an IP address is not a domain"),
        ({"host": "a.test", "verified_by": "me"}, "domains[0].verified_by: expected 'operator'"),
        ({"host": "a.test", "verified_by": None}, "domains[0].verified_by: is empty: give it a value, or leave it out"),
        ({"host": None}, "domains[0].host: is empty; expected text"),
        ({"verified_by": "operator"}, "domains[0].host: is required"),
    ],
)
def test_what_is_wrong_with_a_domain_is_said(domain: Any, line: str) -> None:
    assert faults_in(document(domains=[domain])) == [line]


def test_a_disabled_tenant_is_checked_like_any_other() -> None:
    assert parse_document(document(enabled=False)).enabled is False
    assert faults_in(document(enabled=False, routes=[route(upstream="x")])) == [
        "routes[0].upstream: no upstream named 'x'"
    ]
