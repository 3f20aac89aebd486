from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from edge.upstreams.egress import EgressFilter, egress_filter, is_address_allowed
from store.setting_values import Place, read_places
from store.settings import load_settings
from tests.fakes.places import PRIVATE, PUBLIC


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_may_be_reached(text: str) -> None:
    assert is_address_allowed(ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_everybodys_may_not(text: str) -> None:
    assert not is_address_allowed(ip_address(text))


@pytest.mark.parametrize(
    ("text", "allowed", "expected"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "10.0.0.0/16", False),
        ("::ffff:10.1.2.3", "10.0.0.0/8", True),
        ("127.0.0.1", "::1/128", False),
        ("::1", "::1/128", True),
        ("fd00::7", "fd00::/8", True),
    ],
)
def test_an_operator_allows_networks_by_name(text: str, allowed: str, expected: bool) -> None:
    assert is_address_allowed(ip_address(text), [ip_network(allowed)]) is expected
    assert EgressFilter([allowed]).allows(ip_address(text)) is expected


def test_a_bad_network_is_refused_when_the_filter_is_made() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        EgressFilter(["ten"])


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("10.0.0.1", 80, True),
        ("10.0.0.1", 6400, False),
        ("::ffff:10.0.0.1", 6400, False),
        ("10.0.0.2", 6400, True),
        ("10.9.0.1", 80, False),
        ("8.8.8.8", 443, True),
        ("8.8.8.8", 7777, False),
    ],
)
def test_what_is_denied_stays_closed_in_a_network_that_is_allowed(address: str, port: int, expected: bool) -> None:
    denied = (*read_places("10.0.0.1:6400, 10.9.0.0/16"), Place(None, 7777))
    assert EgressFilter(["10.0.0.0/8"], denied).allows(ip_address(address), port) is expected


@pytest.mark.parametrize("port", [22, 25, 53, 465, 587, 6379])
def test_a_port_of_another_protocol_is_closed_where_no_operator_opened_it(port: int) -> None:
    address = ip_address("8.8.8.8")
    assert not EgressFilter().allows(address, port)
    assert EgressFilter(["8.8.8.0/24"]).allows(address, port)


@pytest.mark.parametrize(
    ("redis_url", "address", "port", "expected"),
    [
        ("redis://127.0.0.1:6400", "127.0.0.1", 6400, False),
        ("redis://127.0.0.1:6400", "127.0.0.1", 6401, True),
        ("redis://127.0.0.1:6400", "::1", 8090, False),  # the edge listens everywhere
        ("redis://127.0.0.1:6400", "127.0.0.1", 8090, False),
        ("redis://127.0.0.1:6400", "127.8.8.8", 8092, False),  # the ops listener's, on this machine
        ("redis://127.0.0.1:6400", "10.0.0.9", 8090, True),  # the same port of another machine
        ("redis://127.0.0.1:6400", "10.0.0.9", 8081, False),  # what the operator names
        ("redis://store:6400", "10.0.0.9", 6400, False),  # wherever the name leads
        ("redis+sentinel://10.0.0.5:26400,[::1]:26401/main", "10.0.0.5", 26400, False),
        ("redis+sentinel://10.0.0.5:26400,[::1]:26401/main", "::1", 26401, False),
        ("unix:///run/redis.sock", "127.0.0.1", 6400, True),
    ],
)
def test_an_edges_own_listeners_and_its_redis_are_closed_whatever_the_operator_allows(
    redis_url: str, address: str, port: int, expected: bool
) -> None:
    flags = {
        "redis_url": redis_url, "listen": "0.0.0.0:8090", "ops": "127.0.0.1:8092",
        "egress_allow": "127.0.0.0/8,::1/128,10.0.0.0/8", "egress_deny": "10.0.0.9:8081",
    }  # fmt: skip
    settings = load_settings("edge", flags, {})
    assert egress_filter(settings).allows(ip_address(address), port) is expected


@pytest.mark.parametrize("text", ["ten", "10.0.0.1/8", "10.0.0.1:80:80", "name:80"])
def test_a_place_that_is_none_is_refused_when_it_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="expected networks"):
        read_places(text)
