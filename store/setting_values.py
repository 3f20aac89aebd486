"""How the text of a setting is read: each reader returns the value, or raises ValueError with what is wrong.

The messages follow the setting's name (`PORTICO_WORKERS: expected a whole number …`) and never repeat the text,
which may be a secret.
"""

from __future__ import annotations

import binascii
import os
import re
import socket
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import urlsplit

from store.model.services import check_service_url
from store.model.units import parse_duration_s, parse_size_bytes

Network = IPv4Network | IPv6Network

BOOTSTRAP_TOKEN_MIN_CHARS = 24
MAX_WORKERS = 1024
MAX_SECRET_KEYS = 2
SECRET_KEY_BYTES = 32
REDIS_SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://", "redis+cluster://")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_text(text: str) -> str:
    """Any text without control characters."""
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in text):
        raise ValueError("expected text without control characters")
    return text


def read_whole(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return int(text)

    return read


def read_worker_count(text: str) -> int:
    """`cpus` (as many as this process may run on), or a whole number."""
    return len(os.sched_getaffinity(0)) if text == "cpus" else read_whole(1, MAX_WORKERS)(text)


def read_seconds(least_s: float, most_s: float) -> Callable[[str], float]:
    """Return a reader of durations such as 500ms, 10s, 5m, in seconds."""

    def read(text: str) -> float:
        value_s = parse_duration_s(text)
        if not least_s <= value_s <= most_s:
            raise ValueError(f"expected between {least_s:g}s and {most_s:g}s")
        return value_s

    return read


def read_bytes(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of sizes such as 65536, 64KiB, 10MiB, in bytes."""

    def read(text: str) -> int:
        value = parse_size_bytes(text)
        if not least <= value <= most:
            raise ValueError(f"expected between {least} and {most} bytes")
        return value

    return read


def read_address(text: str) -> Address:
    """One HOST:PORT, an IPv6 host in brackets."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:\s]+)):([0-9]{1,5})", text)
    if not found or int(found[3]) > 65535:
        raise ValueError("expected HOST:PORT, an IPv6 host in brackets")
    return Address(found[1] or found[2], int(found[3]))


def read_addresses(text: str) -> tuple[Address, ...]:
    """One or more HOST:PORT, separated by commas."""
    found = tuple(read_address(part.strip()) for part in text.split(","))
    fixed = [address for address in found if address.port]
    if len(set(fixed)) < len(fixed):
        raise ValueError("expected each address once")
    return found


def read_some_addresses(text: str) -> tuple[Address, ...]:
    """HOST:PORT, separated by commas; none is fine."""
    return read_addresses(text) if text.strip() else ()


def read_networks(text: str) -> tuple[Network, ...]:
    """Networks or addresses, separated by commas; none is fine."""
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


@dataclass(frozen=True, slots=True)
class Place:
    """A network, or one port of it; without a network, a port wherever it is."""

    network: Network | None
    port: int | None = None

    def holds(self, ip: IPv4Address | IPv6Address, port: int) -> bool:
        """Say whether this port of an address is in it."""
        if self.port is not None and self.port != port:
            return False
        return self.network is None or (ip.version == self.network.version and ip in self.network)


def read_places(text: str) -> tuple[Place, ...]:
    """Networks, or ADDRESS:PORT, separated by commas; none is fine."""
    return tuple(_place(part.strip()) for part in text.split(",") if part.strip())


def _place(text: str) -> Place:
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})", text)
    if found is None:
        return Place(_network(text))
    return Place(_network(found[1] or found[2]), int(found[3]))


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError("expected networks such as 10.0.0.0/8, no bits set behind the prefix") from error


def read_redis_url(text: str) -> str:
    """A Redis URL by its scheme; the rest is read by whoever connects."""
    if not text.startswith(REDIS_SCHEMES):
        raise ValueError(f"expected a URL that starts with one of {' '.join(REDIS_SCHEMES)}")
    return read_text(text)


def read_optional_redis_url(text: str) -> str:
    """A Redis URL, or nothing."""
    return read_redis_url(text) if text else ""


def read_http_url(text: str) -> str:
    """An http or https address without user, query or fragment; a last slash is dropped."""
    if not re.fullmatch(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?", text):
        raise ValueError("expected an http:// or https:// address")
    try:
        urlsplit(text).port  # noqa: B018  # reading it is what checks it
    except ValueError:
        raise ValueError("expected an http:// or https:// address") from None
    return text.rstrip("/")


def read_node_name(text: str) -> str:
    """A name fit for a worker's id; nothing means the machine's own."""
    name = text or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "node"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise ValueError("expected 1 to 64 letters, digits, '.', '_' or '-'")
    return name


def read_token(text: str) -> str:
    """A bearer token (RFC 6750 section 2.1 and what surrounds it: visible ASCII), or nothing."""
    if not re.fullmatch(r"[!-~]*", text):
        raise ValueError("expected visible ASCII characters, no spaces")
    return text


def read_bootstrap_token(text: str) -> str:
    """A token too long to be guessed, or nothing."""
    if text and len(text) < BOOTSTRAP_TOKEN_MIN_CHARS:
        raise ValueError(f"expected at least {BOOTSTRAP_TOKEN_MIN_CHARS} characters")
    return read_token(text)


def read_secret_keys(text: str) -> tuple[bytes, ...]:
    """One key, or the new one and the old, separated by a comma, each 32 bytes in base64; or none."""
    keys = tuple(_secret_key(part.strip()) for part in text.split(",")) if text else ()
    if len(keys) > MAX_SECRET_KEYS:
        raise ValueError("expected one key, or two while the first takes the second's place")
    return keys


def _secret_key(text: str) -> bytes:
    try:
        key = b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != SECRET_KEY_BYTES:
        raise ValueError(f"expected {SECRET_KEY_BYTES} random bytes in base64, as `openssl rand -base64 32` makes them")
    return key


def read_issuer(text: str) -> str:
    """The address of an OpenID provider, exactly as it calls itself; or nothing."""
    return check_service_url(text) if text else ""
