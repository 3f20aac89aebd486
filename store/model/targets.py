"""Where a target is: its URL taken apart once."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from store.model.hosts import normalise_host

_DEFAULT_PORTS = {"http": 80, "https": 443}
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)*")


class Location(NamedTuple):
    """A target's URL as written, and its parts."""

    url: str
    scheme: str
    host: str
    port: int
    base_path: str


def parse_target_url(raw: object) -> Location:
    """Take a target's URL apart; ValueError for anything but http or https, a host, a port and a path."""
    if isinstance(raw, Location):
        return raw
    if not isinstance(raw, str) or len(raw) > 2048:
        raise ValueError("expected a URL such as http://10.0.0.5:9000")
    try:
        parts = urlsplit(raw)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"not a URL: {raw!r}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("expected a URL that begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a target's URL holds no user or password")
    if parts.query or parts.fragment or "?" in raw or "#" in raw:
        raise ValueError("a target's URL has no query and no fragment")
    if port == 0:
        raise ValueError("port 0 is no port")
    base_path = parts.path.rstrip("/")
    if _BASE_PATH.fullmatch(base_path) is None or "/." in base_path:
        raise ValueError("the path of a target's URL is in its plain spelling")
    return Location(raw, parts.scheme, _host(parts.hostname), port or _DEFAULT_PORTS[parts.scheme], base_path)


def _host(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        name = normalise_host(host)
    if name.startswith("*"):
        raise ValueError("a target is one host, not a mask")
    return name
