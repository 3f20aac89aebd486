from __future__ import annotations

import pytest
from multidict import CIMultiDict

from edge.client_edge.limit_fields import place_state, policy_of, state_field
from edge.client_edge.limit_keys import address_key, key_of, value_key
from edge.context import ProxyContext, ProxyRequest
from store.decisions import LimitState
from store.model import By, ConcurrentLimit, QuotaLimit, RateLimit
from tests.fakes.requests import incoming


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_is_counted_by_what_one_subscriber_has(address: str, key: str) -> None:
    assert address_key(address) == key


@pytest.mark.parametrize("value", ["x" * 65, "é", "a\nb", "x" * 100_000, "\udcff"])
def test_a_value_of_any_kind_gives_a_short_plain_key(value: str) -> None:
    key = value_key(value)
    assert len(key) == 32
    assert key.isalnum()
    assert key != value_key(value + "x")


def test_a_short_plain_value_is_its_own_key() -> None:
    assert value_key("team-7") == "team-7"


@pytest.mark.parametrize(
    ("header", "is_told"),
    [("X-Team", True), ("X-Api-Key", False), ("authorization", False), ("COOKIE", False), ("X-Session-Id", False)],
)
def test_what_may_be_a_credential_is_counted_by_its_digest(header: str, is_told: bool) -> None:
    request = incoming(headers=[("Host", "shop.test"), (header, "opensesame"), ("X-Other", "x")])
    of = key_of(By(kind="header", header=header), "r")
    ctx = ProxyContext().copy_for(ProxyRequest(request, "/", "", CIMultiDict(request.headers)))
    assert (of(ctx) == "opensesame") == is_told
    assert of(ctx) != key_of(By(kind="header", header="X-Other"), "r")(ctx)
    assert key_of(By(kind="header", header="X-None-Token"), "r")(ctx) == ""


def test_the_policy_names_each_limit_its_quota_and_window() -> None:
    rate = RateLimit.model_validate({"rate": "600/m", "burst": 5, "by": "ip"})
    assert policy_of("per-ip", rate) == '"per-ip";q=600;w=60'
    month = QuotaLimit.model_validate({"quota": "1000000/month", "by": "key"})
    assert policy_of("month", month) == '"month";q=1000000;w=2592000'
    busy = ConcurrentLimit.model_validate({"concurrent": 50, "by": "tenant"})
    assert policy_of("busy", busy) == '"busy";q=50;qu="concurrent-requests"'
    assert place_state("busy", 7) == '"busy";r=7'


def test_the_state_names_what_is_left_and_when_all_of_it_is_back() -> None:
    state = LimitState(name="per-key", limit=100, period_s=1, burst=200, remaining=50, reset_after_s=0.2, admitted=True)
    assert state_field([state]) == '"per-key";r=50;t=1'
