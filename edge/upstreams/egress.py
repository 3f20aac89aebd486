"""Where tenants' targets and services may be reached: the public Internet, and what an operator allows beside it.

A tenant names its targets, so a target's name may resolve to our own network, to the cloud's metadata service, or to
this very machine. The address that is about to be connected to is judged, not the name. What an operator allows for
tenants' upstreams opens nothing of Portico's own: its Redis, its listeners, and what else `denied` names stay closed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from store.address import parse_redis_url
from store.setting_values import Place
from store.settings import Settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Allows = Callable[[Address, int], bool]
"""Says whether a port of an address may be connected to."""

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
        "5f00::/16",  # segment routing inside of one network, RFC 9602
        "3fff::/20",  # documentation, RFC 9637
        "192.0.0.0/24",  # protocol assignments, RFC 6890, some global to Python 3.11; Oracle's metadata service
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "168.63.129.16/32",  # Azure's wire server
        "100.100.100.200/32",  # Alibaba's metadata service, inside of a shared range
    )
)

# Ports of other protocols, where a request could be taken for something else: those of Fetch ("bad port"), and Redis.
_OTHER_PROTOCOLS = frozenset(
    {
        *(1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109),
        *(110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530),
        *(531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045),
        *(4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    }
)


def plain(address: Address) -> Address:
    """Give the IPv4 address that an IPv6 one stands for (RFC 4291 section 2.5.5.2), any other as it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def is_within(ip: Address, networks: Iterable[Network]) -> bool:
    """Say whether an address is in one of these networks."""
    return any(ip.version == network.version and ip in network for network in networks)


def is_address_allowed(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Say whether an address may be connected to; `allowed` are the operator's exceptions.

    An IPv4 address in IPv6's clothes (RFC 4291 section 2.5.5.2) is judged as what it is, by the exceptions too.
    """
    ip = plain(address)
    if is_within(ip, allowed):
        return True
    if not ip.is_global or ip.is_multicast or ip.is_unspecified or ip.is_reserved:
        return False
    return not is_within(ip, _DENIED)


class EgressFilter:
    """The rule with one operator's exceptions, and exceptions from those."""

    def __init__(
        self, allowed: Iterable[Network | str] = (), denied: Iterable[Place] = (), own_ports: Iterable[int] = ()
    ) -> None:
        """Take networks or CIDRs (ValueError names a bad one), what is closed, and our ports on this machine."""
        self._allowed = tuple(ip_network(each) if isinstance(each, str) else each for each in allowed)
        self._denied = tuple(denied)
        self._own_ports = frozenset(own_ports)

    def allows(self, address: Address, port: int = 0) -> bool:
        """Say whether an address, and this port of it, may be connected to."""
        ip = plain(address)
        if any(place.holds(ip, port) for place in self._denied):
            return False
        if port in self._own_ports and is_own_address(ip):
            return False
        if not is_address_allowed(ip):
            return is_address_allowed(ip, self._allowed)
        return port not in _OTHER_PROTOCOLS or is_within(ip, self._allowed)


def is_own_address(ip: Address) -> bool:
    """Say whether an address is one of this machine: only those can be bound to."""
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(ip), 0))
        except OSError:
            return False
    return True


def egress_filter(settings: Settings) -> EgressFilter:
    """Make the filter of an edge node: what its operator allows, without its own listeners and its Redis.

    A Redis that is given by name is closed at each address, by its port, since the name may come to lead elsewhere.
    """
    redis = [_redis_place(host, port) for host, port in parse_redis_url(settings.redis_url).nodes]
    own_ports = [each.port for each in (*settings.listen, settings.ops) if each.port]
    return EgressFilter(settings.egress_allow, (*settings.egress_deny, *redis), own_ports)


def _redis_place(host: str, port: int) -> Place:
    try:
        return Place(ip_network(plain(ip_address(host))), port)
    except ValueError:
        return Place(None, port)
