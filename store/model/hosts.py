"""Hostnames and masks in their one spelling: lower case, A-labels, no port, no trailing dot.

A mask is "*." before a hostname and stands for one label or more: "*.acme.app" covers "a.acme.app" and "a.b.acme.app",
never "acme.app" itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address, ip_address

import idna

MASK_PREFIX = "*."
MAX_HOST_LENGTH = 253
NOT_ENCODED = "a hostname has no '%': write the characters themselves"
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PLAIN_HOST = re.compile(r"(?:(?!-)[a-z0-9_-]{1,63}(?<!-)\.)*(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PORT = re.compile(r"[0-9]{1,5}")
MAX_PORT = 65_535
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def normalise_host(text: str) -> str:
    """Spell a hostname, a mask, or an IP address (as `Host` carries it, port and all) in the one way.

    ValueError for what is none of them. An IPv6 address keeps its brackets.
    """
    host = text.strip().lower()
    if host.startswith("["):
        return _bracketed(host)
    name, _, port = host.partition(":")
    if port and not _is_port(port):
        raise _not_a_host(text)
    name = name.removesuffix(".")
    if len(name) <= MAX_HOST_LENGTH and _PLAIN_HOST.fullmatch(name) is not None:
        return name
    if name.startswith(MASK_PREFIX):
        return MASK_PREFIX + _named(name.removeprefix(MASK_PREFIX), text)
    return _named(name, text)


@lru_cache(maxsize=4096)
def parse_domain(text: str) -> str:
    """Spell a domain that a tenant may bring: a hostname or mask, dotted, no address and no port; ValueError otherwise.

    "localhost" is the one name without a dot, and what is below it is for trying things out.
    """
    if "/" in text:
        raise ValueError("a domain is a hostname alone, without a scheme and a path")
    if ":" in text:
        raise ValueError("a domain has no port: it is served on every port of the edge")
    name = text.strip().removeprefix(MASK_PREFIX)
    if "%" in name:
        raise ValueError(NOT_ENCODED)
    if "*" in name:
        raise ValueError("a '*' stands only at the front, as in *.acme.app, which covers every host below acme.app")
    host = normalise_host(text)
    *above, last = host.removeprefix(MASK_PREFIX).split(".")
    if _NUMBER.fullmatch(last) is not None:
        raise ValueError("an IP address is not a domain")
    if not above and last != "localhost":
        raise ValueError("a name without a dot is no domain that a tenant can own")
    return host


def is_mask(host: str) -> bool:
    """Say whether this stands for many hosts."""
    return host.startswith(MASK_PREFIX)


def is_address(host: str) -> bool:
    """Say whether a normalised host is an IP address rather than a name."""
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
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


def _not_a_host(text: str) -> ValueError:
    return ValueError("not a hostname" if text.strip() else "is empty; expected a hostname")


def _is_port(text: str) -> bool:
    return _PORT.fullmatch(text) is not None and int(text) <= MAX_PORT


def _bracketed(host: str) -> str:
    address, bracket, port = host[1:].partition("]")
    if not bracket or (port and not (port[0] == ":" and _is_port(port[1:]))) or "%" in address:
        raise ValueError("not an IPv6 address in brackets")
    try:
        return f"[{IPv6Address(address)}]"
    except AddressValueError:
        raise ValueError("not an IPv6 address in brackets") from None


def _named(name: str, text: str) -> str:
    if len(name) > MAX_HOST_LENGTH:  # an A-label is no shorter than what it stands for
        raise _not_a_host(text)
    try:
        ascii_name = name if name.isascii() else idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise _not_a_host(text) from None
    if len(ascii_name) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in ascii_name.split(".")):
        raise _not_a_host(text)
    return ascii_name
