"""store/model/upstreams.py: targets, how one is picked, deadlines, checks, retries."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import dump_document, parse_document
from tests.store.model.documents import faults_in, with_upstream


@pytest.mark.parametrize(
    ("balance", "parts"),
    [
        ("round_robin", ("round_robin", None, None)),
        ("least_requests", ("least_requests", None, None)),
        ("random_two", ("random_two", None, None)),
        ({"hash": "ip"}, ("hash", "ip", None)),
        ({"hash": {"header": "X-User"}}, ("hash", "header", "X-User")),
        ({"hash": {"cookie": "sid"}}, ("hash", "cookie", "sid")),
    ],
)
def test_a_balance_is_read_and_written_as_it_is_spelt(balance: Any, parts: tuple[str, str | None, str | None]) -> None:
    parsed = parse_document(with_upstream(balance=balance))
    found = parsed.upstreams["shop"].balance
    assert (found.kind, found.hash_by, found.hash_name) == parts
    dumped = dump_document(parsed)["upstreams"]["shop"]
    assert dumped.get("balance", "round_robin") == balance


def test_a_target_is_written_short_when_it_says_no_more_than_its_url() -> None:
    targets = ["http://a.test", {"url": "http://b.test", "weight": 1}, {"url": "http://c.test", "weight": 3}]
    parsed = parse_document(with_upstream(targets=targets))
    assert [target.weight for target in parsed.upstreams["shop"].targets] == [1, 1, 3]
    dumped = dump_document(parsed)["upstreams"]["shop"]["targets"]
    assert dumped == ["http://a.test", "http://b.test", {"url": "http://c.test", "weight": 3}]


BALANCES = (
    "upstreams.shop.balance: expected round_robin, least_requests, random_two, {hash: ip}, {hash: {header: NAME}} "
    "or {hash: {cookie: NAME}}"
)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"balance": "roundrobin"}, f"{BALANCES}; did you mean 'round_robin'?"),
        ({"balance": {"hash": "header"}}, BALANCES),
        ({"balance": {"hash": {"query": "x"}}}, BALANCES),
        ({"balance": {"hash": "ip", "weight": 1}}, BALANCES),
        ({"balance": 5}, BALANCES),
        ({"balance": None}, f"{BALANCES.replace(': expected', ': is empty; expected')}"),
        ({"balance": {"hash": {"header": "a b"}}}, "upstreams.shop.balance: not a header field's name: 'a b'"),
        ({"balance": {"hash": {"cookie": 5}}},
         "upstreams.shop.balance: expected text such as {hash: {cookie: NAME}}"),
        ({"connect_timeout": 2}, "upstreams.shop.connect_timeout: expected text such as 2s"),
        ({"connect_timeout": "2"},
         "upstreams.shop.connect_timeout: expected a duration such as 500ms, 2s, 1m or 1h"),
        ({"response_timeout": "0s"}, "upstreams.shop.response_timeout: a duration is longer than zero"),
        ({"idle_timeout": "25h"}, "upstreams.shop.idle_timeout: a duration is at most 1d here"),
        ({"health": {}}, "upstreams.shop.health.path: is required"),
        ({"health": {"path": "healthz"}}, "upstreams.shop.health.path: expected a path that begins with '/'"),
        ({"health": {"path": "/a b"}},
         "upstreams.shop.health.path: characters that are not allowed in a path: percent-encode them"),
        ({"health": {"path": "/", "healthy_after": 0}}, "upstreams.shop.health.healthy_after: is less than 1"),
        ({"health": None}, "upstreams.shop.health: is empty: give it a value, or leave it out"),
        ({"retry": {"attempts": 6}}, "upstreams.shop.retry.attempts: is more than 5"),
        ({"targets": [{"weight": 1}]}, "upstreams.shop.targets[0].url: is required"),
        ({"targets": [{"url": "http://a.test", "weight": 1001}]},
         "upstreams.shop.targets[0].weight: is more than 1000"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_upstream_is_said(fields: dict[str, Any], line: str) -> None:
    assert faults_in(with_upstream(**fields)) == [line]


def test_a_check_may_ask_with_a_query() -> None:
    health = parse_document(with_upstream(health={"path": "/healthz?full=1"})).upstreams["shop"].health
    assert health is not None
    assert health.path == "/healthz?full=1"
