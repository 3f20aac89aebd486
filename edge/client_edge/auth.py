"""Who calls: a request passes when any of its route's methods finds out who sends it.

A missing or wrong credential is a 401, whatever is wrong with it; one that cannot be judged because the store or an
issuer is lost is a 503, never a 401. A credential itself goes no further than here, unless the route keeps it. Each
method has a file of its own; whoever adds one adds an `AuthMethod`, not a branch here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from edge.context import Identity, ProxyContext
from edge.errors import EdgeError, Fields
from edge.message import ProxyRequest, ProxyResponse
from edge.middleware import ProxyMiddleware

Verdict = Identity | ProxyResponse | None
"""Who calls; or what to answer if no other method knows; or None, when the credential is wrong."""


class AuthMethod(ABC):
    """One way to show who calls, compiled for a tenant; shared by all requests of the routes that name it."""

    challenge = ""
    """What a 401 says of this method in `WWW-Authenticate` (RFC 9110 section 11.6.1), "" for nothing."""
    rejection = ""
    """What it says instead to a request that has shown a credential of this kind, "" for the same."""

    @abstractmethod
    def shown(self, request: ProxyRequest, *, keep: bool) -> Any:
        """Give the credential of this request, None when there is none; take it out of the request unless `keep`.

        It is called for each request once, and for all methods before any of them judges.
        """

    def known(self, ctx: ProxyContext, shown: Any) -> Identity | None:  # noqa: ARG002 - for those that know nothing
        """Say who calls without waiting; None when that is not known here, or the credential is wrong."""
        return None

    @abstractmethod
    async def judge(self, ctx: ProxyContext, shown: Any) -> Verdict:
        """Find out who calls; EdgeError (503) when nobody can tell now."""

    def close(self) -> None:  # noqa: B027 - most methods hold nothing
        """Give back what this method holds of the worker; called once, when no new request can meet it."""

    def invite(self, ctx: ProxyContext) -> ProxyResponse | None:  # noqa: ARG002 - for those that have none
        """Give what to answer instead of a 401 to a request that nobody has been found to send."""
        return None


Given = tuple[AuthMethod, Any]
"""A method, and the credential of its kind that a request has shown."""


def require_any(
    methods: Sequence[AuthMethod], *, keep_credentials: bool = False, scopes: Iterable[str] = ()
) -> ProxyMiddleware:
    """Make the middleware that lets a request pass when any of these methods finds out who calls, in their order.

    It sets the identity, or the answer of a method that has one of its own. EdgeError `unauthorized`, or what a method
    raised that could not judge, when no other finds a caller; `forbidden` for a caller without all of `scopes`.
    """
    return _AnyOf(tuple(methods), tuple(scopes), keep=keep_credentials).check


class _AnyOf:
    """The methods of one route, tried in their order."""

    def __init__(self, methods: tuple[AuthMethod, ...], scopes: tuple[str, ...], *, keep: bool) -> None:
        self._methods = methods
        self._scopes = frozenset(scopes)
        self._keep = keep
        takes_tokens = any(method.challenge.startswith("Bearer") for method in methods)
        # RFC 6750 section 3.1: it says which token would do.
        lacking = f'Bearer error="insufficient_scope", scope="{" ".join(scopes)}"'
        self._lacking = (("WWW-Authenticate", lacking),) if takes_tokens else ()

    def check(self, ctx: ProxyContext) -> Awaitable[None] | None:
        """Let a caller pass that is known here; what is to be awaited where that takes somebody's answer."""
        request = ctx.request
        given = [(each, shown) for each in self._methods if (shown := each.shown(request, keep=self._keep)) is not None]
        for method, shown in given:
            identity = method.known(ctx, shown)
            if identity is not None:
                self._admit(ctx, identity)
                return None
        if given:
            return self._ask(ctx, given)
        self._refuse(ctx, (), None, None)
        return None

    async def _ask(self, ctx: ProxyContext, given: Sequence[Given]) -> None:
        lost: EdgeError | None = None
        answer: ProxyResponse | None = None
        for method, shown in given:
            try:
                verdict = await method.judge(ctx, shown)
            except EdgeError as error:
                lost = lost or error
                continue
            if isinstance(verdict, Identity):
                self._admit(ctx, verdict)
                return
            answer = answer or verdict
        self._refuse(ctx, given, lost, answer)

    def _admit(self, ctx: ProxyContext, identity: Identity) -> None:
        ctx.identity = identity
        if self._scopes and not self._scopes.issubset(identity.scopes):
            raise EdgeError("forbidden", "the caller has not all of the route's scopes", headers=self._lacking)

    def _refuse(
        self, ctx: ProxyContext, given: Sequence[Given], lost: EdgeError | None, answer: ProxyResponse | None
    ) -> None:
        if lost is not None:
            raise lost
        for method in self._methods if answer is None else ():
            answer = answer or method.invite(ctx)
        if answer is None:
            raise EdgeError("unauthorized", headers=self._challenges([method for method, _ in given]))
        ctx.is_refused = True
        ctx.response = answer

    def _challenges(self, shown: Sequence[AuthMethod]) -> Fields:
        """Name the ways to show who calls, each once, even where two issuers' tokens come in one way."""
        told = [(method.rejection if method in shown else "") or method.challenge for method in self._methods]
        challenges = ", ".join(dict.fromkeys(filter(None, told)))
        return (("WWW-Authenticate", challenges),) if challenges else ()
