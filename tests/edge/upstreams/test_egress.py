from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from edge.upstreams.egress import EgressFilter, is_address_allowed

PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::8a", "::ffff:8.8.8.8"]
PRIVATE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
    "::ffff:0:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001:db8::1", "2001::1", "2002:7f00:1::",
    "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd12:3456::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1",
    "ff02::1", "ff0e::1",
]  # fmt: skip


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
