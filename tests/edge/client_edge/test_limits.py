from __future__ import annotations

import pytest

from edge.client_edge.limits import address_key, policy_field, state_field, value_key
from store.decisions import LimitState
from store.model import RateLimit


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


def test_the_policy_names_each_limit_its_quota_and_window() -> None:
    limits = [
        RateLimit.model_validate({"rate": "100/s", "burst": 200, "by": "key"}),
        RateLimit.model_validate({"rate": "600/m", "by": "ip"}),
    ]
    assert policy_field(limits, ["per-key", "per-ip"]) == '"per-key";q=100;w=1, "per-ip";q=600;w=60'


def test_the_state_names_what_is_left_and_when_all_of_it_is_back() -> None:
    state = LimitState(name="per-key", limit=100, period_s=1, burst=200, remaining=50, reset_after_s=0.2, admitted=True)
    assert state_field([state]) == '"per-key";r=50;t=1'
