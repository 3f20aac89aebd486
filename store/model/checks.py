"""What a document's parts must be to each other: names used once, choices made once, routes apart.

References are looked up in `references.py`. Here each check looks at fields that could be read: of a part that is wrong
somewhere, a check that needs a wrong field is left out, and all the others are made.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from store.model.auth import ApiKeyAuth, AuthMethod, BasicAuth, ForwardAuth, JwtAuth, SessionAuth
from store.model.conflicts import MAX_FAULTS as MAX_CONFLICTS
from store.model.conflicts import find_conflicts
from store.model.drafts import Draft, Sketch
from store.model.faults import Found, Loc
from store.model.fields import (
    can_carry_credential,
    is_of_one_message,
    is_reserved_for_answers,
    is_reserved_for_requests,
)
from store.model.limits import ConcurrentLimit, Limit
from store.model.paths import RESERVED_PREFIX
from store.model.regexes import compile_regex
from store.model.routes import HeaderOps, RequestHeaderOps, Route, RouteRewrite
from store.model.upstreams import Upstream

MAX_FORWARD_TIMEOUT_S = 30.0
MIN_SESSION_S = 1.0


def check(draft: Draft) -> Iterator[Found]:
    """Find every fault between the parts of a draft."""
    yield from _repeated("domains", "host", {at: domain.host for at, domain in draft.domains.items()})
    for name, upstream in draft.upstreams.items():
        yield from _upstream(("upstreams", name), upstream)
    for name, method in draft.auth.items():
        yield from _auth(("auth", name), method)
    names = {at: route.part.name for at, route in draft.routes.items() if route.has("name")}
    yield from _repeated("routes", "name", names)
    for at, route in draft.routes.items():
        if route.has("path") and route.part.path.text.startswith(RESERVED_PREFIX):
            yield Found(("routes", at, "path"), f"what is under {RESERVED_PREFIX} the edge serves itself")
        yield from _target(("routes", at), route)
        yield from _callers(("routes", at), route, draft)
        yield from _limits(("routes", at), route, draft)
        yield from _lists(("routes", at), route)
        yield from _headers(("routes", at), route, draft)
        if route.part.rewrite is not None:
            yield from _rewrite(("routes", at, "rewrite"), route.part.rewrite)
    yield from _everywhere(draft)
    yield from _conflicts(draft)


def _repeated(section: str, field: str, values: Mapping[int, str]) -> Iterator[Found]:
    seen: dict[str, int] = {}
    for at, value in values.items():
        first = seen.setdefault(value, at)
        if first != at:
            yield Found((section, at, field), f"{section}[{first}] is {value!r} too")


def _upstream(place: Loc, sketch: Sketch[Upstream]) -> Iterator[Found]:
    upstream = sketch.part
    if sketch.has("targets"):
        seen: dict[object, int] = {}
        for at, target in enumerate(upstream.targets):
            first = seen.setdefault(target.location[1:], at)
            if first != at:
                yield Found((*place, "targets", at), f"targets[{first}] is the same address")
        if not any(target.weight for target in upstream.targets):
            yield Found((*place, "targets"), "every target has weight 0")
    health = upstream.health
    if health is not None and health.timeout_s > health.interval_s:
        yield Found((*place, "health", "timeout"), "is longer than the interval")


def _auth(place: Loc, sketch: Sketch[AuthMethod]) -> Iterator[Found]:
    method = sketch.part
    if isinstance(method, ApiKeyAuth) and method.header_field is not None and method.query is not None:
        yield Found(place, "a key comes in a header or in the query: name one of them")
    if isinstance(method, ForwardAuth) and sketch.has("timeout") and method.timeout_s > MAX_FORWARD_TIMEOUT_S:
        yield Found((*place, "timeout"), f"is longer than {MAX_FORWARD_TIMEOUT_S:g}s, and each request waits for it")
    if isinstance(method, SessionAuth):
        yield from _session(place, method, sketch)
    if isinstance(method, ForwardAuth):
        yield from _copied((*place, "copy_headers"), method.copy_headers)
    header = method.header if isinstance(method, ApiKeyAuth | JwtAuth) else None
    if header is not None and not can_carry_credential(header):
        yield Found((*place, "header"), f"{header} has a meaning of its own: no credential can come in it")


def _copied(place: Loc, names: Sequence[str]) -> Iterator[Found]:
    """Find fields of a service's answer that no target can get."""
    seen: dict[str, int] = {}
    for at, name in enumerate(names):
        first = seen.setdefault(name.lower(), at)
        why = _why_never_copied(name)
        if first != at:
            yield Found((*place, at), f"copy_headers[{first}] is {names[first]!r} too")
        elif why:
            yield Found((*place, at), f"{name} {why}: no service can set it")


def _why_never_copied(name: str) -> str:
    if name.lower() == "host":
        return "says which host the client asked for"
    if is_of_one_message(name):
        return "is of one message or connection alone"
    return "is the edge's own" if is_reserved_for_requests(name) else ""


def _session(place: Loc, method: SessionAuth, sketch: Sketch[AuthMethod]) -> Iterator[Found]:
    if sketch.has("issuer", "client_id") and (method.issuer is None) != (method.client_id is None):
        missing = "issuer" if method.issuer is None else "client_id"
        yield Found((*place, missing), "is required: a provider of one's own has both, the operator's has neither")
    if sketch.has("issuer") and method.issuer is None and method.client_secret is not None:
        yield Found((*place, "client_secret"), "belongs to a provider of one's own: name its issuer")
    if sketch.has("scopes") and "openid" not in method.scopes:
        yield Found((*place, "scopes"), "has no 'openid', without which nobody says who has logged in")
    if method.idle_timeout_s < MIN_SESSION_S:
        yield Found((*place, "idle_timeout"), f"is shorter than {MIN_SESSION_S:g}s")
    elif sketch.has("idle_timeout", "lifetime") and method.idle_timeout_s > method.lifetime_s:
        yield Found((*place, "idle_timeout"), "is longer than lifetime")


def _target(place: Loc, sketch: Sketch[Route]) -> Iterator[Found]:
    if not sketch.has("upstream", "split"):
        return
    route = sketch.part
    if route.upstream is None and not route.split:
        yield Found((*place, "upstream"), "is required, or split")
    elif route.upstream is not None and route.split:
        yield Found((*place, "split"), "a route has an upstream or a split, not both")
    elif route.split and not any(share.weight for share in route.split):
        yield Found((*place, "split"), "every share has weight 0")
    seen: dict[str, int] = {}
    for at, share in enumerate(route.split):
        first = seen.setdefault(share.upstream, at)
        if first != at:
            yield Found((*place, "split", at, "upstream"), f"split[{first}] is {share.upstream!r} too: add the weights")


def _callers(place: Loc, sketch: Sketch[Route], draft: Draft) -> Iterator[Found]:
    """Find what a route demands of its callers that some way to show who calls cannot give."""
    route = sketch.part
    if not sketch.has("auth"):
        return
    if route.keep_credentials and not route.auth:
        yield Found((*place, "keep_credentials"), "nobody's credentials are taken: the route has no auth")
    methods = {name: draft.auth[name].part for name in route.auth if name in draft.auth}
    if route.keep_credentials and methods and all(isinstance(each, _KEEPERS) for each in methods.values()):
        yield Found((*place, "keep_credentials"), f"by {next(iter(methods))!r} no credential is ever taken out")
    if sketch.has("scopes") and route.scopes:
        if not route.auth:
            yield Found((*place, "scopes"), "nobody is asked who calls: the route has no auth")
        for name, method in methods.items():
            if isinstance(method, BasicAuth | ForwardAuth | SessionAuth):
                yield Found((*place, "scopes"), f"who comes by {name!r} has no scopes, and could never pass")
    nameless = [name for name in methods if _is_nameless(draft.auth[name])]
    for at, limit_name in enumerate(route.limits if sketch.has("limits") and nameless else ()):
        limit = draft.limits.get(limit_name)
        if limit is not None and limit.has("by") and limit.part.by.kind in ("key", "subject"):
            kind, name = limit.part.by.kind, nameless[0]
            yield Found((*place, "limits", at), f"{limit_name!r} counts by {kind}, but {name!r} has no subject_header")


_KEEPERS = ForwardAuth | SessionAuth
"""A service is told all, and takes nothing; a session's cookie goes to no target, whatever a route keeps."""


def _is_nameless(method: Sketch[AuthMethod]) -> bool:
    part = method.part
    return isinstance(part, ForwardAuth) and part.subject_header is None and method.has("subject_header")


def _limits(place: Loc, sketch: Sketch[Route], draft: Draft) -> Iterator[Found]:
    if not sketch.has("auth", "limits"):
        return
    methods = _methods(sketch.part, draft)
    for at, name in enumerate(sketch.part.limits):
        limit = draft.limits.get(name)
        if limit is not None and limit.has("by") and limit.part.by.needs_auth and not methods:
            kind = limit.part.by.kind
            yield Found((*place, "limits", at), f"{name!r} counts by {kind}, but the route has no auth")
        elif limit is not None and limit.has("by") and limit.part.by.kind == "claim" and not _has_claims(methods):
            yield Found((*place, "limits", at), f"{name!r} counts by a claim, but no auth of the route knows any")
        if limit is not None and limit.has("cost") and None not in methods:
            yield from _cost((*place, "limits", at), name, limit.part, [each.part for each in methods if each])


def _everywhere(draft: Draft) -> Iterator[Found]:
    """Find limits of every route that are of none: what they count by is known on no route that there is."""
    if not draft.routes or not draft.has_all_routes or not all(route.has("auth") for route in draft.routes.values()):
        return
    methods = [method for route in draft.routes.values() for method in _methods(route.part, draft)]
    for name, limit in draft.limits.items():
        if not limit.has("by", "every_route") or not limit.part.every_route or not limit.part.by.needs_auth:
            continue
        kind, place = limit.part.by.kind, ("limits", name, "every_route")
        if not methods:
            yield Found(place, f"counts by {kind}, but no route has auth")
        elif kind == "claim" and not _has_claims(methods):
            yield Found(place, "counts by a claim, but no auth of any route knows any")


def _cost(place: Loc, name: str, limit: Limit, methods: Collection[AuthMethod]) -> Iterator[Found]:
    """What a request costs is nothing that a client can be asked."""
    if isinstance(limit, ConcurrentLimit):
        return
    header, claim = limit.cost.header, limit.cost.claim
    told = {field.lower() for method in methods if isinstance(method, ForwardAuth) for field in method.copy_headers}
    if header is not None and header.lower() not in told:
        yield Found(place, f"{name!r} costs what {header} says, but no auth of the route has it in copy_headers")
    if claim is not None and not any(isinstance(method, _WITH_CLAIMS) for method in methods):
        yield Found(place, f"{name!r} costs what a claim says, but no auth of the route knows any")


_WITH_CLAIMS = (JwtAuth, SessionAuth)


def _methods(route: Route, draft: Draft) -> list[Sketch[AuthMethod] | None]:
    """Give a route's ways to show who calls, None for each of which it is not known what it is."""
    methods = [draft.auth.get(name) for name in route.auth]
    return [method if method is not None and method.has("type") else None for method in methods]


def _has_claims(methods: Collection[Sketch[AuthMethod] | None]) -> bool:
    """Say whether any of these knows claims, or may, as it cannot be read."""
    return any(method is None or isinstance(method.part, _WITH_CLAIMS) for method in methods)


def _lists(place: Loc, sketch: Sketch[Route]) -> Iterator[Found]:
    route = sketch.part
    for field, values in (
        ("auth", route.auth),
        ("scopes", route.scopes),
        ("limits", route.limits),
        ("domains", route.domains or ()),
    ):
        seen: set[str] = set()
        for at, value in enumerate(values):
            if value in seen:
                yield Found((*place, field, at), f"{value!r} stands twice")
            seen.add(value)


def _headers(place: Loc, sketch: Sketch[Route], draft: Draft) -> Iterator[Found]:
    rules = sketch.part.headers
    for side, ops, is_reserved in (
        ("request", rules.request, is_reserved_for_requests),
        ("response", rules.response, is_reserved_for_answers),
    ):
        for step, name in _named(ops):
            if is_reserved(name):
                yield Found((*place, "headers", side, *step), f"{name} is the edge's own: no rule can change it")
    methods = _methods(sketch.part, draft)
    if sketch.has("auth") and not _has_claims(methods):
        why = "no auth of the route knows any" if methods else "the route has no auth"
        for name in rules.request.claims:
            yield Found((*place, "headers", "request", "set", name), f"takes a claim, but {why}")
    for at, name in enumerate(rules.request.remove):
        if name.lower() == "host":
            yield Found((*place, "headers", "request", "remove", at), "no request can go without its Host")


def _named(ops: HeaderOps | RequestHeaderOps) -> Iterator[tuple[Loc, str]]:
    yield from ((("set", name), name) for name in ops.set)
    yield from ((("remove", at), name) for at, name in enumerate(ops.remove))


class _Kind(NamedTuple):
    """A way to rewrite, by the field that asks for it, and whether it takes `to`."""

    field: str
    is_given: bool
    has_to: bool


def _rewrite(place: Loc, rewrite: RouteRewrite) -> Iterator[Found]:
    kinds = (
        _Kind("strip_prefix", rewrite.strip_prefix is not None, has_to=False),
        _Kind("from", rewrite.from_path is not None, has_to=True),
        _Kind("regex", rewrite.pattern is not None, has_to=True),
    )
    given = [kind for kind in kinds if kind.is_given]
    if len(given) != 1:
        yield Found(place, "expected one of strip_prefix, from (with to) and regex (with to)")
    elif not given[0].has_to and rewrite.to_path is not None:
        yield Found((*place, "to"), "strip_prefix has no 'to'; use from and to")
    elif given[0].has_to and rewrite.to_path is None:
        yield Found((*place, "to"), f"is required with {given[0].field}")
    elif rewrite.from_path is not None and (not rewrite.to.startswith("/") or "\\" in rewrite.to):
        yield Found((*place, "to"), "expected a path that begins with '/'")
    elif rewrite.from_path is not None and _ODD_SEGMENT.search(rewrite.to):
        yield Found((*place, "to"), "a target's path has no empty segments, and none that is '.' or '..'")
    elif rewrite.pattern is not None:
        yield from _replacement((*place, "to"), rewrite.pattern, rewrite.to)


_ODD_SEGMENT = re.compile(r"//|/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)

# A group's number or name; three octal digits would be a character to the library that expands them.
_GROUP = re.compile(r"\\(?:(?![0-7]{3})([1-9][0-9]?)|g<(\w+)>|(.?))", re.ASCII)


def _replacement(place: Loc, pattern: str, to: str) -> Iterator[Found]:
    compiled = compile_regex(pattern)
    for number, name, _ in _GROUP.findall(to):
        if not (number or name):
            yield Found(place, "a backslash stands before a group's number, as in \\1, or its name, as in \\g<id>")
        elif not _has_group(number or name, compiled.groups, compiled.groupindex):
            yield Found(place, f"the regex has no group {number or name}")


def _has_group(name: str, count: int, names: Collection[str]) -> bool:
    return int(name) <= count if name.isdigit() else name in names


_ROUTE = re.compile(r"routes\[([0-9]+)\]")


def _conflicts(draft: Draft) -> Iterator[Found]:
    ranked = ("name", "path", "methods", "domains", "match", "priority")
    routes = {at: route.part for at, route in draft.routes.items() if route.has(*ranked)}
    conflicts = [Found(_place(fault.path), fault.message) for fault in find_conflicts(routes)]
    yield from conflicts
    if len(conflicts) == MAX_CONFLICTS:
        last = max(conflict.loc for conflict in conflicts)
        yield Found(last, f"is the last of {MAX_CONFLICTS} routes listed as in conflict; there may be more")


def _place(path: str) -> Loc:
    found = _ROUTE.fullmatch(path)
    return ("routes", int(found[1])) if found else ()
