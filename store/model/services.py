"""Where somebody's service is that the edge asks of its own accord: a key set, an OpenID provider."""

from __future__ import annotations

from urllib.parse import urlsplit

from store.model.targets import parse_target_url


def check_service_url(raw: str) -> str:
    """Give the URL of a service back; ValueError for anything that is not one, or not safe on its way.

    Addresses and localhost may be asked in the clear: who can change what passes between processes of one machine, or
    inside of a network that an operator allows by its addresses, is in already.
    """
    if "#" in raw:
        raise ValueError("a service's URL has no fragment")
    plain = raw.partition("?")[0]
    location = parse_target_url(plain)
    if location.scheme == "http" and urlsplit(plain).hostname != "localhost" and not _is_address(location.host):
        raise ValueError("expected https: who can change the answer on its way can let anybody in")
    return raw


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()
