"""Who a client address stands for, where addresses are counted."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def subscriber_of(address: str) -> str:
    """Spell the subscriber: an IPv4 address by itself, an IPv6 address by its /64, which is what one subscriber gets.

    ValueError for what is no address.
    """
    ip = ip_address(address)
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{IPv6Address(int(ip) >> 64 << 64)}/64"
