"""How many connections a worker takes, of whom, and for which tenant."""

from __future__ import annotations

import pytest

from edge.census import Census, ConnectionLimits

LIMITS = ConnectionLimits(max_connections=5, max_per_address=2, max_per_tenant=2)


def test_a_worker_takes_so_many_connections_and_no_more() -> None:
    census = Census(LIMITS)
    assert [census.admit(f"192.0.2.{at}", at) is not None for at in range(6)] == [True] * 5 + [False]
    assert (census.accepted, census.met["connections"]) == (5, 1)


@pytest.mark.parametrize(
    ("addresses", "admitted"),
    [
        (["192.0.2.1", "192.0.2.1", "192.0.2.1"], [True, True, False]),
        (["192.0.2.1", "192.0.2.1", "192.0.2.2"], [True, True, True]),
        (["2001:db8::1", "2001:db8::2", "2001:db8::3"], [True, True, False]),
        (["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"], [True, True, True]),
        (["::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"], [True, True, False]),
        ([None, None, None], [True, True, True]),
        (["", "nobody", "nobody"], [True, True, True]),
        (["10.0.0.1", "10.0.0.1", "10.0.0.1"], [True, True, True]),
    ],
)
def test_a_subscriber_takes_its_share_and_a_trusted_proxy_what_it_needs(
    addresses: list[str | None], admitted: list[bool]
) -> None:
    census = Census(LIMITS, lambda address: address == "10.0.0.1")
    assert [census.admit(address, 0) is not None for address in addresses] == admitted
    assert census.met["address"] == admitted.count(False)


def test_who_leaves_makes_room_and_leaves_nothing_behind() -> None:
    census = Census(LIMITS)
    for _ in range(5):
        subscriber = census.admit("192.0.2.1", 0)
        assert subscriber is not None
        assert census.move("", "acme")
        census.leave(subscriber, "acme")
    assert not census._by_subscriber
    assert not census._by_tenant


def test_a_tenant_has_so_many_connections_and_those_that_went_on_to_another_no_more() -> None:
    census = Census(LIMITS)
    assert [census.move("", "acme") for _ in range(3)] == [True, True, False]
    assert census.move("acme", "beta")
    assert census.move("", "acme")
    assert not census.move("beta", "acme")
    assert census._by_tenant == {"acme": 2, "beta": 1}
    assert census.met["tenant"] == 2
