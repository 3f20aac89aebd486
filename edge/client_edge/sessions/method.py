"""Browser sessions as a way to show who calls: a cookie whose session is in Redis, begun by a login.

A session counts for what a page of the same host asks for. From elsewhere it counts only where a link may lead: a GET
or HEAD that is no upgrade. So no other site, and no neighbour under the same parent domain, has a browser act for its
owner (CSRF), or opens a WebSocket in its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from edge.client_edge.auth import AuthMethod
from edge.client_edge.sessions.browser import (
    SAFE_METHODS,
    Site,
    comes_from,
    has_origin,
    is_navigation,
    path_of,
    site_of,
)
from edge.client_edge.sessions.providers import Provider, RelyingParty
from edge.client_edge.sessions.storage import RedisStorage
from edge.context import Identity, ProxyContext
from edge.cookies import own_cookies
from edge.errors import EdgeError
from edge.message import ProxyRequest, ProxyResponse
from store.errors import StoreError
from store.model import SessionAuth
from store.model.paths import RESERVED_PREFIX
from store.sessions import Kept

LOGIN_PATH = f"{RESERVED_PREFIX}login"
PROTO = "X-Forwarded-Proto"
MAX_SKEW_S = 60.0  # between the clocks of two nodes


@dataclass(frozen=True, slots=True)
class Login:
    """How browsers log in by one method of a tenant."""

    tenant: str
    name: str
    declared: SessionAuth
    party: RelyingParty
    provider: Provider
    storage: RedisStorage

    def begun(self, subject: str, claims: Mapping[str, Any], id_token: str, now_s: float) -> dict[str, Any]:
        """Write what a session holds that begins now (Unix time)."""
        return {
            "subject": subject,
            "claims": dict(claims),
            "id_token": id_token,
            "began_s": now_s,
            "by": self.bound_to,
        }

    @property
    def bound_to(self) -> list[str]:
        """What a session must have begun by to count here: this method, while it names the same provider."""
        return [self.name, self.party.issuer, self.party.client_id]

    def identity_of(self, kept: Kept, now_s: float) -> Identity | None:
        """Say whose session it is; None when it began by another method, or its time is over."""
        data = kept.data
        if data.get("by") != self.bound_to or not -MAX_SKEW_S <= now_s - data["began_s"] < self.declared.lifetime_s:
            return None
        return Identity(kept.subject, None, "session", (), MappingProxyType(data["claims"]))

    def path(self, return_to: str) -> str:
        """Write the address that begins a login, and comes back to a path of the same host."""
        return f"{LOGIN_PATH}?method={quote(self.name, safe='')}&return_to={quote(return_to, safe='/')}"


class SessionMethod(AuthMethod):
    """Knows a tenant's callers by the sessions of their browsers."""

    challenge = f'Session login="{LOGIN_PATH}"'  # the scheme is nobody's standard, but it names the place

    def __init__(self, login: Login, now_s: Callable[[], float] = time.time) -> None:
        self.login = login
        self._now_s = now_s

    def close(self) -> None:
        """Give the provider back."""
        self.login.provider.release()

    def shown(self, request: ProxyRequest, *, keep: bool) -> str | None:  # noqa: ARG002 - no target ever gets it
        """Give the session's id; the edge's cookies never go to a target, whatever the route keeps."""
        return self.login.storage.session_id(own_cookies(request.in_req.headers))

    def known(self, ctx: ProxyContext, shown: str) -> Identity | None:
        """Say whose session it is that was confirmed a moment ago."""
        kept = self.login.storage.peek(shown)
        identity = None if kept is None else self.login.identity_of(kept, self._now_s())
        return identity if identity is not None and self._counts(ctx) else None

    async def judge(self, ctx: ProxyContext, shown: str) -> Identity | None:
        """Say whose session it is; EdgeError `store_down` for one that is not known here while the store is lost.

        EdgeError `forbidden` for a good one that another site would use.
        """
        try:
            kept = await self.login.storage.find(shown)
        except StoreError as error:
            raise EdgeError("store_down", "a session not known here") from error
        identity = None if kept is None else self.login.identity_of(kept, self._now_s())
        if identity is not None and not self._counts(ctx):
            raise EdgeError("forbidden", "a session that another site would use")
        return identity

    def invite(self, ctx: ProxyContext) -> ProxyResponse | None:
        """Send a person to the login; a script gets its 401."""
        incoming = ctx.request.in_req
        if not is_navigation(incoming):
            return None
        fields = {"Location": self.login.path(path_of(incoming)), "Cache-Control": "no-store"}
        return ProxyResponse.of(302, fields)

    @staticmethod
    def _counts(ctx: ProxyContext) -> bool:
        incoming = ctx.request.in_req
        if ctx.request.is_upgrade:
            return has_origin(incoming, site(ctx))
        return incoming.method in SAFE_METHODS or comes_from(incoming, site(ctx)) is not False


def site(ctx: ProxyContext) -> Site:
    """Say where the browser is: the host it asked for, by the scheme that the edge or a trusted proxy was asked by."""
    return site_of(ctx.request.in_req, ctx.request.headers[PROTO])
