"""Hostnames and masks in their one spelling: lower case, A-labels, no port, no trailing dot.

A mask is "*." before a hostname and stands for one label or more: "*.acme.app" covers "a.acme.app" and "a.b.acme.app",
never "acme.app" itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

import idna

MASK_PREFIX = "*."
MAX_HOST_LENGTH = 253
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PLAIN_HOST = re.compile(r"(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PORT = re.compile(r":\d{1,5}")


def normalise_host(text: str) -> str:
    """Spell a hostname, a mask, or an IP address (as `Host` carries it, port and all) in the one way.

    ValueError for what is none of them. An IPv6 address keeps its brackets.
    """
    host = text.strip().lower()
    if host.startswith("["):
        return _bracketed(host)
    name, _, port = host.partition(":")
    if port and not _PORT.fullmatch(f":{port}"):
        raise ValueError("not a hostname")
    name = name.removesuffix(".")
    if len(name) <= MAX_HOST_LENGTH and _PLAIN_HOST.fullmatch(name) is not None:
        return name
    if name.startswith(MASK_PREFIX):
        return MASK_PREFIX + _named(name.removeprefix(MASK_PREFIX))
    return _named(name)


def is_mask(host: str) -> bool:
    """Say whether this stands for many hosts."""
    return host.startswith(MASK_PREFIX)


def is_address(host: str) -> bool:
    """Say whether a normalised host is an IP address rather than a name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def mask_matches(mask: str, host: str) -> bool:
    """Say whether a normalised mask covers a normalised host."""
    return host.endswith(mask[1:]) and len(host) > len(mask) - 1


def parent_masks(host: str) -> Iterator[str]:
    """Give every mask that covers a host, the longest first: a.b.c gives *.b.c and *.c."""
    at = host.find(".")
    while at >= 0:
        yield f"*{host[at:]}"
        at = host.find(".", at + 1)


def _bracketed(host: str) -> str:
    address, bracket, port = host[1:].partition("]")
    if not bracket or (port and not _PORT.fullmatch(port)):
        raise ValueError("not a hostname")
    return f"[{IPv6Address(address)}]"


def _named(name: str) -> str:
    try:
        ascii_name = name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise ValueError("not a hostname") from error
    if not 0 < len(ascii_name) <= MAX_HOST_LENGTH or not all(
        _LABEL.fullmatch(label) for label in ascii_name.split(".")
    ):
        raise ValueError("not a hostname")
    return ascii_name
