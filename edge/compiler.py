"""A tenant's document -> what the router holds of it: one handler per route, one table per host.

All that can be decided once is decided here: which checks a route has, in which order, and what a request is changed
by. A concern that a route does not have costs its requests nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from edge.client_edge.admission import limit_body, refuse_upgrades
from edge.client_edge.api_key import ApiKeyMethod
from edge.client_edge.auth import AuthMethod, require_any
from edge.client_edge.basic import BasicMethod
from edge.client_edge.forward_auth import MAX_ANSWER_BYTES, ForwardMethod
from edge.client_edge.jwt import JwtMethod
from edge.client_edge.key_cache import KeyCache
from edge.client_edge.key_sets import KeySets
from edge.client_edge.key_usage import KeyUsage
from edge.client_edge.limits import Counting, NamedLimit, take_limits
from edge.client_edge.passwords import PasswordChecks
from edge.client_edge.plan_limits import PlanLimits
from edge.client_edge.sessions.method import SessionMethod
from edge.client_edge.sessions.pages import LoginPages
from edge.client_edge.sessions.parts import SessionParts, login_of
from edge.client_edge.token_cache import TokenCache
from edge.context import ProxyContext
from edge.domains import Table
from edge.errors import EdgeError
from edge.fields import RouteFields
from edge.message import ProxyResponse
from edge.middleware import MiddlewarePhase, ProxyMiddleware, ProxyMiddlewareDef
from edge.outgoing import Outgoing
from edge.proxy import HTTPProxyHandler, Transport
from edge.reserved import ReservedTable
from edge.rewrite import compile_rewrite
from edge.router import Conditions, DomainTable, TableRow
from edge.tables import UNCONDITIONAL
from edge.target_edge import change_request, change_response
from edge.upstreams.group import SplitTransport, UpstreamGroup
from edge.upstreams.live import LiveTargets
from store.model import (
    ApiKeyAuth,
    BasicAuth,
    ForwardAuth,
    HeaderOps,
    JwtAuth,
    PathPattern,
    RequestHeaderOps,
    Route,
    SessionAuth,
    TenantDocument,
)

# One middleware in each phase: those at the client's edge depend on each other, and two in one phase would be gathered,
# at two tasks for each request.
ADMISSION = int(MiddlewarePhase.CLIENT_EDGE)
AUTH = ADMISSION + 1
LIMITS = ADMISSION + 2
ANSWER_RULES = int(MiddlewarePhase.TARGET_EDGE)
REQUEST_RULES = ANSWER_RULES - 1
PAGES = ".portico"
"""What the log calls the route of the edge's own pages."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What compiled routes use of the worker they run in."""

    targets: LiveTargets
    keys: KeyCache
    counting: Counting
    plans: PlanLimits
    key_sets: KeySets
    tokens: TokenCache
    outgoing: Outgoing
    passwords: PasswordChecks
    key_usage: KeyUsage
    sessions: SessionParts | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A route in the router: its handler and its names."""

    handler: HTTPProxyHandler
    tenant: str
    route: str
    fields: RouteFields
    revision: int


@dataclass(frozen=True, slots=True)
class CompiledTenant:
    """A tenant's tables by host, and `release` for what they hold; call it when no new request can match them."""

    tables: Mapping[str, Table]
    release: Callable[[], None]


def compile_tenant(document: TenantDocument, hosts: Iterable[str], revision: int, parts: Parts) -> CompiledTenant:
    """Compile a checked document for the hosts it is served on; what was taken is given back when that fails."""
    hosts = tuple(hosts)
    if not hosts:
        return CompiledTenant({}, lambda: None)  # disabled, or nothing verified: no target is held, none is checked
    held = _Held({}, {})
    try:
        _hold(document, held, parts)
        rows = {route.name: _row(document, route, held, revision, parts) for route in document.routes}
        pages = _pages(document.tenant, revision, held, parts)
        return CompiledTenant(_tables(document, hosts, rows, pages), held.release)
    except BaseException:
        held.release()
        raise


@dataclass(frozen=True, slots=True)
class _Held:
    """What a compiled tenant holds of its worker, by the names of its document; what nobody names is not held."""

    groups: dict[str, UpstreamGroup]
    methods: dict[str, AuthMethod]

    def release(self) -> None:
        """Give all of it back; idempotent."""
        for group in self.groups.values():
            group.close()
        while self.methods:
            self.methods.popitem()[1].close()


def _hold(document: TenantDocument, held: _Held, parts: Parts) -> None:
    """Take one by one, so that what was taken is known when the next cannot be had."""
    for name, upstream in document.upstreams.items():
        held.groups[name] = UpstreamGroup(document.tenant, name, upstream, parts.targets)
    for name in dict.fromkeys(name for route in document.routes for name in route.auth):
        held.methods[name] = _auth_method(document, name, parts)


def _tables(
    document: TenantDocument, hosts: Iterable[str], rows: Mapping[str, TableRow], pages: DomainTable
) -> dict[str, Table]:
    """Make a table for each host; hosts with the same routes, which is most of them, share one."""
    tables: dict[tuple[str, ...], Table] = {}
    by_host: dict[str, Table] = {}
    for host in hosts:
        names = tuple(route.name for route in document.routes if route.domains is None or host in route.domains)
        if names not in tables:
            tables[names] = ReservedTable(DomainTable(rows[name] for name in names), pages)
        by_host[host] = tables[names]
    return by_host


def _pages(tenant: str, revision: int, held: _Held, parts: Parts) -> DomainTable:
    """Make the table of the edge's own pages: where browsers log in, if any route asks for a session."""
    logins = {name: method.login for name, method in held.methods.items() if isinstance(method, SessionMethod)}
    if not logins or parts.sessions is None:
        return _NO_PAGES
    rows = []
    for path, methods, answer in LoginPages(tenant, logins, parts.sessions).middlewares():
        handler = HTTPProxyHandler(
            middlewares=[ProxyMiddlewareDef(AUTH, answer)], transport=_NOWHERE, raises_for_status=False
        )
        entry = Entry(handler, tenant, PAGES, RouteFields(tenant, PAGES), revision)
        rows.append(TableRow(PathPattern.parse(path), frozenset(methods), UNCONDITIONAL, 0, entry))
    return DomainTable(rows)


def _row(document: TenantDocument, route: Route, held: _Held, revision: int, parts: Parts) -> TableRow:
    handler = HTTPProxyHandler(
        rewrite=None if route.rewrite is None else compile_rewrite(route.rewrite),
        middlewares=_middlewares(document, route, held, parts),
        transport=_transport(route, held.groups),
        raises_for_status=False,
    )
    return TableRow(
        pattern=route.path,
        methods=route.methods,
        conditions=Conditions.of(route.match.headers, route.match.query),
        priority=route.priority,
        entry=Entry(handler, document.tenant, route.name, RouteFields(document.tenant, route.name), revision),
    )


def _transport(route: Route, groups: Mapping[str, UpstreamGroup]) -> Transport:
    if route.upstream is not None:
        return groups[route.upstream]
    return SplitTransport([(groups[share.upstream], share.weight) for share in route.split])


def _middlewares(document: TenantDocument, route: Route, held: _Held, parts: Parts) -> Iterator[ProxyMiddlewareDef]:
    tenant = document.tenant
    if not route.websocket or route.max_body_bytes is not None:
        yield ProxyMiddlewareDef(ADMISSION, _admission(route))
    if route.auth:
        methods = [held.methods[name] for name in route.auth]
        check = require_any(methods, keep_credentials=route.keep_credentials, scopes=route.scopes)
        yield ProxyMiddlewareDef(AUTH, check)
    if limits := _limits(document, route, parts.plans):
        yield ProxyMiddlewareDef(LIMITS, take_limits(tenant, route.name, limits, parts.counting))
    if route.headers.request != _NO_REQUEST_OPS:
        yield ProxyMiddlewareDef(REQUEST_RULES, change_request(route.headers.request))
    if route.headers.response != _NO_OPS:
        yield ProxyMiddlewareDef(ANSWER_RULES, change_response(route.headers.response))


def _auth_method(document: TenantDocument, name: str, parts: Parts) -> AuthMethod:
    tenant, declared = document.tenant, document.auth[name]
    match declared:
        case ApiKeyAuth():
            return ApiKeyMethod(tenant, declared, parts.keys, note_use=parts.key_usage.note)
        case JwtAuth():
            return JwtMethod(tenant, declared, parts.key_sets, parts.tokens)
        case BasicAuth():
            return BasicMethod(tenant, declared, parts.passwords)
        case ForwardAuth():
            return ForwardMethod(declared, parts.outgoing.of(tenant, MAX_ANSWER_BYTES))
        case SessionAuth():
            return SessionMethod(login_of(tenant, name, declared, parts.sessions))
        case _:
            raise ValueError(f"{declared.type} is not supported yet")


def _limits(document: TenantDocument, route: Route, plans: PlanLimits) -> list[NamedLimit]:
    """List the limits that the route names, then those of every route and of the plan that can be counted on it."""
    own = [NamedLimit(name, document.limits[name]) for name in route.limits]
    everywhere = [NamedLimit(name, limit) for name, limit in document.limits.items() if limit.every_route]
    for named in (*everywhere, *plans.of(document.plan)):
        if (route.auth or not named.limit.by.needs_auth) and named.name not in route.limits:
            own.append(named)
    return own


def _admission(route: Route) -> ProxyMiddleware:
    if route.max_body_bytes is None:
        return refuse_upgrades
    check_body = limit_body(route.max_body_bytes)
    if route.websocket:
        return check_body

    def check(ctx: ProxyContext) -> None:
        refuse_upgrades(ctx)
        check_body(ctx)

    return check


class _Nowhere:
    """The transport of what the edge answers itself."""

    async def send(self, ctx: ProxyContext) -> ProxyResponse:  # noqa: ARG002
        raise EdgeError("no_route")


_NO_OPS = HeaderOps()
_NO_PAGES = DomainTable(())
_NOWHERE = _Nowhere()
_NO_REQUEST_OPS = RequestHeaderOps()
