"""What a document's parts must be to each other: references that lead somewhere, names used once, routes apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import re2

from store.model.access import ApiKeyAuth, RateLimit
from store.model.conflicts import find_conflicts
from store.model.faults import Fault, did_you_mean
from store.model.fields import is_reserved_for_answers, is_reserved_for_requests
from store.model.hosts import is_address
from store.model.routes import Route, RouteRewrite
from store.model.tenant import Domain, TenantDocument
from store.model.upstreams import Upstream


@dataclass(frozen=True, slots=True)
class Draft:
    """A document as far as it could be read: what is declared under a name but unreadable is None.

    `domains` and `routes` hold only what is readable, by index; a reference to a declared but unreadable part is no
    fault of its own.
    """

    domains: Mapping[int, Domain]
    are_domains_known: bool
    upstreams: Mapping[str, Upstream | None]
    auth: Mapping[str, ApiKeyAuth | None]
    limits: Mapping[str, RateLimit | None]
    routes: Mapping[int, Route]

    @classmethod
    def of(cls, document: TenantDocument) -> Draft:
        """See a whole document as a draft."""
        return cls(
            domains=dict(enumerate(document.domains)),
            are_domains_known=True,
            upstreams=document.upstreams,
            auth=document.auth,
            limits=document.limits,
            routes=dict(enumerate(document.routes)),
        )


def check(draft: Draft) -> list[Fault]:
    """List every fault between the parts of a draft."""
    faults = [*_domains(draft), *_upstreams(draft), *_auth(draft)]
    names: dict[str, int] = {}
    for at, route in draft.routes.items():
        first = names.setdefault(route.name, at)
        if first != at:
            faults.append(Fault(f"routes[{at}].name", f"routes[{first}] is named {route.name!r} too"))
        faults += _route(f"routes[{at}]", route, draft)
    faults += find_conflicts(draft.routes)
    return faults


def _domains(draft: Draft) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    for at, domain in draft.domains.items():
        first = seen.setdefault(domain.host, at)
        if first != at:
            yield Fault(f"domains[{at}]", f"domains[{first}] is {domain.host!r} too")
        if is_address(domain.host):
            yield Fault(f"domains[{at}]", "an IP address is not a domain")
        elif "." not in domain.host.removeprefix("*.") and domain.host != "localhost":
            yield Fault(f"domains[{at}]", f"{domain.host!r} has no dot: not a domain that a tenant can own")


def _upstreams(draft: Draft) -> Iterator[Fault]:
    for name, upstream in draft.upstreams.items():
        if upstream is None:
            continue
        seen: dict[str, int] = {}
        for at, target in enumerate(upstream.targets):
            first = seen.setdefault(target.url, at)
            if first != at:
                yield Fault(f"upstreams.{name}.targets[{at}]", f"targets[{first}] is {target.url!r} too")
        if not any(target.weight for target in upstream.targets):
            yield Fault(f"upstreams.{name}.targets", "every target has weight 0")
        health = upstream.health
        if health is not None and health.timeout_s > health.interval_s:
            yield Fault(f"upstreams.{name}.health.timeout", "is longer than the interval")


def _auth(draft: Draft) -> Iterator[Fault]:
    for name, method in draft.auth.items():
        if method is not None and method.header_field is not None and method.query is not None:
            yield Fault(f"auth.{name}", "a key comes in a header or in the query: name one of them")


def _route(place: str, route: Route, draft: Draft) -> Iterator[Fault]:
    yield from _route_target(place, route, draft)
    yield from _references(f"{place}.auth", route.auth, draft.auth, "auth method")
    yield from _references(f"{place}.limits", route.limits, draft.limits, "limit")
    for at, name in enumerate(route.limits):
        limit = draft.limits.get(name)
        if limit is not None and limit.by.kind in ("key", "subject") and not route.auth:
            yield Fault(f"{place}.limits[{at}]", f"{name!r} counts by {limit.by.kind}, but the route has no auth")
    yield from _route_domains(place, route, draft)
    for name in (*route.headers.request.set, *route.headers.request.remove):
        if is_reserved_for_requests(name):
            yield Fault(f"{place}.headers.request", f"{name} is the edge's own to set")
    for name in (*route.headers.response.set, *route.headers.response.remove):
        if is_reserved_for_answers(name):
            yield Fault(f"{place}.headers.response", f"{name} is the edge's own to set")
    if route.rewrite is not None:
        yield from _rewrite(f"{place}.rewrite", route.rewrite)


def _route_target(place: str, route: Route, draft: Draft) -> Iterator[Fault]:
    if route.upstream is None and not route.split:
        yield Fault(f"{place}.upstream", "is required, or split")
    if route.upstream is not None and route.split:
        yield Fault(f"{place}.split", "a route has an upstream or a split, not both")
    if route.upstream is not None:
        yield from _reference(f"{place}.upstream", route.upstream, draft.upstreams, "upstream")
    for at, share in enumerate(route.split):
        yield from _reference(f"{place}.split[{at}].upstream", share.upstream, draft.upstreams, "upstream")
    if route.split and not any(share.weight for share in route.split):
        yield Fault(f"{place}.split", "every share has weight 0")


def _route_domains(place: str, route: Route, draft: Draft) -> Iterator[Fault]:
    hosts = {domain.host for domain in draft.domains.values()}
    for at, host in enumerate(route.domains or ()):
        if host not in hosts and draft.are_domains_known:
            yield Fault(f"{place}.domains[{at}]", f"{host!r} is not a domain of this tenant{did_you_mean(host, hosts)}")


def _references(place: str, names: Collection[str], known: Collection[str], what: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for at, name in enumerate(names):
        if name in seen:
            yield Fault(f"{place}[{at}]", f"{name!r} is named twice")
        seen.add(name)
        yield from _reference(f"{place}[{at}]", name, known, what)


def _reference(place: str, name: str, known: Collection[str], what: str) -> Iterator[Fault]:
    if name not in known:
        yield Fault(place, f"no {what} named {name!r}{did_you_mean(name, known)}")


def _rewrite(place: str, rewrite: RouteRewrite) -> Iterator[Fault]:
    given = [
        rewrite.strip_prefix is not None,
        rewrite.from_path is not None,
        rewrite.pattern is not None,
    ]
    if sum(given) != 1:
        yield Fault(place, "expected one of strip_prefix, from (with to) and regex (with to)")
        return
    if rewrite.strip_prefix is not None:
        if rewrite.to_path is not None:
            yield Fault(f"{place}.to", "strip_prefix has no 'to'; use from and to")
        return
    if rewrite.to_path is None:
        yield Fault(f"{place}.to", "is required")
    elif rewrite.from_path is not None and not rewrite.to_path.startswith("/"):
        yield Fault(f"{place}.to", "expected a path that begins with '/'")
    if rewrite.pattern is not None:
        yield from _regex(place, rewrite.pattern, rewrite.to)


def _regex(place: str, pattern: str, to: str) -> Iterator[Fault]:
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options=options)
        compiled.sub(to, "/")
    except (re2.error, IndexError, ValueError):
        yield Fault(f"{place}.regex", "not a regular expression that RE2 takes, or 'to' names a group it lacks")
