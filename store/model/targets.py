"""Where a target is: its URL taken apart once."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from store.model.hosts import MASK_PREFIX, NOT_ENCODED, normalise_host

_DEFAULT_PORTS = {"http": 80, "https": 443}
_MAX_LENGTH = 2048
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")
_OLD_ADDRESS = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


class Location(NamedTuple):
    """A target's URL as written, and its parts."""

    url: str
    scheme: str
    host: str
    port: int
    base_path: str


def parse_target_url(raw: object) -> Location:
    """Take a target's URL apart; ValueError for anything but http or https, a host, a port and a path.

    The message never repeats the URL: it may hold a password.
    """
    if isinstance(raw, Location):
        return raw
    if not isinstance(raw, str):
        raise ValueError("expected a URL such as http://10.0.0.5:9000")
    if len(raw) > _MAX_LENGTH:
        raise ValueError(f"a URL is at most {_MAX_LENGTH} characters long")
    if not raw.isprintable() or " " in raw:  # which urlsplit would drop without a word
        raise ValueError("a URL has no space and no control character")
    try:
        parts = urlsplit(raw)
        port = parts.port
    except ValueError:
        raise ValueError("not a URL, or its port is none") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("expected a URL that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a target's URL holds no user or password")
    if "?" in raw or "#" in raw:
        raise ValueError("a target's URL has no query and no fragment")
    if port == 0:
        raise ValueError("port 0 is no port")
    return Location(
        raw, parts.scheme, _host(parts.hostname), port or _DEFAULT_PORTS[parts.scheme], _base_path(parts.path)
    )


def _host(host: str) -> str:
    if "%" in host and ":" not in host:
        raise ValueError(NOT_ENCODED)
    if "%" in host:
        raise ValueError("an address with a zone belongs to one machine: no target for all of them")
    try:
        return str(ip_address(host))
    except ValueError:
        name = normalise_host(host)
    if name.startswith(MASK_PREFIX):
        raise ValueError("a target is one host, not a mask")
    if _OLD_ADDRESS.fullmatch(name) is not None:
        raise ValueError("an IPv4 address is four decimal numbers")
    return name


def _base_path(path: str) -> str:
    base_path = path.rstrip("/")
    if _BASE_PATH.fullmatch(base_path) is None:
        raise ValueError("characters that are not allowed in a path, or an empty segment")
    if not {".", ".."}.isdisjoint(base_path.split("/")):
        raise ValueError("a target's URL has no dot segments")
    return base_path
