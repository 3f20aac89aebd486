"""Which addresses tenants' upstreams may be reached at: the public Internet, and what an operator allows beside it.

A tenant names its targets, so a target's name may resolve to our own network, to the cloud's metadata service, or to
this very machine. The address that is about to be connected to is judged, not the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Beyond what `is_global` denies, in every Python from 3.11 on: addresses that lead somewhere private through a
# translation or by a cloud's custom, and what the IANA registries set aside.
_DENIED: tuple[Network, ...] = tuple(
    ip_network(cidr)
    for cidr in (
        "64:ff9b::/96",  # NAT64, RFC 6052: an IPv4 address of anybody's inside
        "64:ff9b:1::/48",  # local-use NAT64, RFC 8215
        "2002::/16",  # 6to4, RFC 3056
        "2001::/32",  # Teredo, RFC 4380
        "::/96",  # IPv4-compatible, RFC 4291 section 2.5.5.1
        "fec0::/10",  # site-local, RFC 3879
        "192.0.0.0/24",  # protocol assignments, RFC 6890; some of them Python 3.11 calls global
        "5f00::/16",  # segment routing inside of one network, RFC 9602
        "3fff::/20",  # documentation, RFC 9637
        "192.0.0.0/24",  # protocol assignments, RFC 6890; Oracle's metadata service is in it
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "168.63.129.16/32",  # Azure's wire server
        "100.100.100.200/32",  # Alibaba's metadata service, inside of a shared range
    )
)


def is_address_allowed(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Say whether an address may be connected to; `allowed` are the operator's exceptions.

    An IPv4 address in IPv6's clothes (RFC 4291 section 2.5.5.2) is judged as what it is, by the exceptions too.
    """
    ip: Address = address
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        ip = address.ipv4_mapped
    if any(ip.version == network.version and ip in network for network in allowed):
        return True
    if not ip.is_global or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return False
    return not any(ip.version == network.version and ip in network for network in _DENIED)


class EgressFilter:
    """The rule with one operator's exceptions."""

    def __init__(self, allowed: Iterable[Network | str] = ()) -> None:
        """Take networks or CIDRs; ValueError names a bad one."""
        self._allowed = tuple(ip_network(each) if isinstance(each, str) else each for each in allowed)

    def allows(self, address: Address) -> bool:
        """Say whether an address may be connected to."""
        return is_address_allowed(address, self._allowed)
