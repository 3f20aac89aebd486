"""What a request's head says of the browser that sent it, and where browsers may be sent. Pure functions."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from edge.message import Incoming
from edge.paths import canonical_text, split_target
from store.model.paths import RESERVED_PREFIX

MAX_RETURN_CHARS = 2048
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_RETURN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
_END_OF_PATH = re.compile("[?#]")
_SLASHES = re.compile("/{2,}")
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?:/|$)")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_NAVIGATED_BY = frozenset({"GET", "HEAD"})


class Site(NamedTuple):
    """Where a browser believes it is: the scheme that it used, and the host with its port where that is not usual."""

    scheme: str
    host: str

    @property
    def url(self) -> str:
        """The site's origin, as in `https://shop.acme.com`."""
        return f"{self.scheme}://{self.host}"

    @property
    def keeps_cookies(self) -> bool:
        """Whether a browser takes a `Secure` cookie from it: by https, or from this machine."""
        if self.scheme == "https":
            return True
        name = urlsplit(self.url).hostname or ""
        return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def site_of(incoming: Incoming, scheme: str) -> Site:
    """Say where a browser is whose request came by `scheme`, which a trusted proxy may have told."""
    return Site(scheme, incoming.host.lower().removesuffix(_DEFAULT_PORTS.get(scheme, "")))


def is_navigation(incoming: Incoming) -> bool:
    """Say whether a person is going to a page, and can be sent elsewhere: not a script that fetches, and no upgrade."""
    if incoming.method not in _NAVIGATED_BY or "Upgrade" in incoming.headers:
        return False
    mode = incoming.headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode is not None else wants_html(incoming)


def is_visit(incoming: Incoming) -> bool:
    """Say whether a person is going to a page now: it is no picture in one, and nothing fetched for later."""
    return incoming.method == "GET" and is_navigation(incoming) and "Sec-Purpose" not in incoming.headers


def wants_html(incoming: Incoming) -> bool:
    """Say whether who asks reads pages rather than JSON."""
    return "text/html" in incoming.headers.get("Accept", "").lower()


def comes_from(incoming: Incoming, site: Site) -> bool | None:
    """Say whether a page of the same site sent this, or the person did; None where the request does not tell.

    By `Sec-Fetch-Site` where a browser sends it, which no page can change; its `Origin` is "null" when a page hides
    where it is.
    """
    fetch_site = incoming.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:
        return fetch_site in ("same-origin", "none")
    return has_origin(incoming, site) if "Origin" in incoming.headers else None


def has_origin(incoming: Incoming, site: Site) -> bool:
    """Say whether `Origin` (RFC 6454 section 7) is the site's.

    A page that came by https may always speak to its own host: that the last of the way is http is nobody's fault.
    """
    return incoming.headers.get("Origin") in (site.url, f"https://{site.host}")


def safe_return_path(text: str) -> str:
    """Give a path of the same host back, "/" for anything else.

    What browsers would read as another host is refused (`//`, backslashes, control characters, which they drop), and
    what is the edge's own in any spelling, so that nobody is sent on to log out. So are dot segments: browsers resolve
    them before the edge joins slashes, and so may arrive elsewhere than the edge would say.
    """
    is_safe = len(text) <= MAX_RETURN_CHARS and _RETURN_PATH.fullmatch(text) and not _leads_astray(text)
    return text if is_safe else "/"


def _leads_astray(text: str) -> bool:
    path = _SLASHES.sub("/", canonical_text(_END_OF_PATH.split(text, maxsplit=1)[0]))
    return path.startswith(RESERVED_PREFIX) or _DOT_SEGMENT.search(path) is not None


def path_of(incoming: Incoming) -> str:
    """Give the path and query that a browser asked for, to come back to."""
    path, query = split_target(incoming.raw_path)
    return safe_return_path(f"{path}?{query}" if query else path)


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
