"""Names in a document that lead nowhere, looked up in the raw document: so that one wrong field hides none of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from store.model.faults import Found, Loc, shown
from store.model.hosts import parse_domain


def dangling(raw: Mapping[str, Any], routes: object) -> Iterator[Found]:
    """Find every reference of these raw routes to what the raw document does not declare.

    What is declared but unreadable is known all the same, and where a whole section is unreadable nothing is missed.
    """
    known = {section: _names(raw, section) for section in ("upstreams", "auth", "limits")}
    hosts = _hosts(raw)
    for at, route in _entries(routes):
        if not isinstance(route, Mapping):
            continue
        yield from _missing(("routes", at, "upstream"), route.get("upstream"), known["upstreams"], "upstream")
        for index, share in _entries(route.get("split")):
            if isinstance(share, Mapping):
                loc: Loc = ("routes", at, "split", index, "upstream")
                yield from _missing(loc, share.get("upstream"), known["upstreams"], "upstream")
        for index, name in _entries(route.get("auth")):
            yield from _missing(("routes", at, "auth", index), name, known["auth"], "auth method")
        for index, name in _entries(route.get("limits")):
            yield from _missing(("routes", at, "limits", index), name, known["limits"], "limit")
        for index, host in _entries(route.get("domains")):
            yield from _foreign(("routes", at, "domains", index), host, hosts)


def _missing(loc: Loc, name: object, known: Collection[str] | None, what: str) -> Iterator[Found]:
    if isinstance(name, str) and known is not None and name not in known:
        yield Found(loc, f"no {what} named {shown(name)}", name, known)


def _foreign(loc: Loc, written: object, hosts: Collection[str] | None) -> Iterator[Found]:
    host = _host(written)
    if host is not None and hosts is not None and host not in hosts:
        yield Found(loc, f"{shown(host)} is not a domain of this tenant", host, hosts)


def _names(raw: Mapping[str, Any], section: str) -> Collection[str] | None:
    declared = raw.get(section, {})
    return {name: None for name in declared if isinstance(name, str)} if isinstance(declared, Mapping) else None


def _hosts(raw: Mapping[str, Any]) -> Collection[str] | None:
    domains = raw.get("domains", [])
    if not isinstance(domains, list | tuple):
        return None
    hosts = [_host(domain.get("host") if isinstance(domain, Mapping) else domain) for domain in domains]
    return None if None in hosts else {host: None for host in hosts if host is not None}


def _host(written: object) -> str | None:
    try:
        return parse_domain(written) if isinstance(written, str) else None
    except ValueError:
        return None


def _entries(value: object) -> Iterator[tuple[int, Any]]:
    return iter(enumerate(value)) if isinstance(value, list | tuple) else iter(())
