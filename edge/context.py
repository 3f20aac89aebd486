"""What the phases of one request share: `ProxyContext`, copied for each request from the one a handler was given."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar, DummyCookieJar, web
from yarl import URL

from edge.headers import SUBJECT, field_value
from edge.message import Body, BodyReader, Incoming, ProxyRequest, ProxyResponse

__all__ = [
    "Body",
    "BodyReader",
    "Identity",
    "Incoming",
    "ProxyContext",
    "ProxyRequest",
    "ProxyResponse",
    "SessionFactory",
    "configure_contexts",
]

SessionFactory = Callable[[], ClientSession]

log = logging.getLogger("portico.edge")


@dataclass(slots=True)
class Identity:
    """Who calls, as a `CLIENT_EDGE` check found it: `subject` is what targets and limits know the caller by.

    It is "" when a service lets a request pass and does not say whose it is; targets are told of no subject then.
    """

    subject: str
    key_id: str | None = None
    kind: str = "api_key"
    scopes: tuple[str, ...] = ()
    claims: Mapping[str, Any] | None = None
    """What an issuer says of the caller."""
    fields: tuple[tuple[str, str], ...] = ()
    """What a trusted service says of the caller, for the target; the client's own of these names are gone."""

    def claim(self, name: str) -> str | None:
        """Give what is claimed of the caller under this name: text as it is, anything else as JSON, None for nothing.

        Equal values give equal text, whatever the order of their members.
        """
        value = None if self.claims is None else self.claims.get(name)
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


class SessionCell:
    """The one client session of a context and all its copies, made when it is first needed."""

    __slots__ = ("_session", "factory")

    def __init__(self, factory: SessionFactory) -> None:
        self.factory = factory
        self._session: ClientSession | None = None

    def get(self) -> ClientSession:
        """Give the session, a new one when there is none or it was closed; call with a running loop."""
        if self._session is None or self._session.closed:
            self._session = self.factory()
            _keep_no_cookies(self._session)
        return self._session

    async def close(self) -> None:
        """Close the session if there is one; idempotent."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _keep_no_cookies(session: ClientSession) -> None:
    """Give the session a jar that stays empty, unless the factory filled one itself.

    aiohttp's default jar would send the cookies that a target set for one client along with the next client's request.
    """
    jar = session.cookie_jar
    if isinstance(jar, CookieJar) and not len(jar):
        session._cookie_jar = DummyCookieJar()


class ProxyContext:
    """The target and its session, and for each request the request, the response, the state, and who calls.

    `url` is the target, whose path goes before each request's; None where the transport knows its targets.
    `session_factory` makes the client session on the first request, `ClientSession` by default; see
    `configure_contexts` for closing it. `state` is copied, one level deep, for every request.
    """

    # As defaults of the class, so that a request's copy sets only what is its own.
    _request: ProxyRequest | None = None
    _response: ProxyResponse | None = None
    _identity: Identity | None = None
    _deferred: list[Callable[[], None]] | None = None
    error: BaseException | None = None
    is_refused = False
    """Whether a service's answer was given to the client instead of the target's, because nobody knew who calls."""
    answer_fields: tuple[tuple[str, str], ...] = ()
    """What the edge adds to the answer, whoever gives it: the target, a middleware, or the edge by an error."""
    shadow_refused: tuple[str, ...] = ()
    """The limits in shadow that would have refused the request."""
    match_info: Mapping[str, str] = MappingProxyType({})
    request_id = ""
    route = ""
    tenant = ""
    target = ""
    attempts = 0
    upstream_s: float | None = None
    ws_source: web.WebSocketResponse | None = None
    ws_target: ClientWebSocketResponse | None = None

    def __init__(
        self,
        url: URL | str | None = None,
        session_factory: SessionFactory | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.url = None if url is None else URL(url)
        if self.url is not None and not self.url.is_absolute():
            raise ValueError(f"a target's URL names a scheme and a host: {url}")
        self.state: dict[str, Any] = dict(state or ())
        self._sessions = SessionCell(session_factory or ClientSession)

    def copy_for(self, request: ProxyRequest) -> ProxyContext:
        """Make the context of one request: state of its own, the session shared."""
        copy = ProxyContext.__new__(ProxyContext)
        copy.url = self.url
        copy.state = self.state.copy()
        copy._sessions = self._sessions
        copy._request = request
        return copy

    @property
    def request(self) -> ProxyRequest:
        """The request for the target; ValueError outside of a request."""
        if self._request is None:
            raise ValueError("the request is not yet set")
        return self._request

    @property
    def has_response(self) -> bool:
        """Whether an answer is there, the target's or a middleware's."""
        return self._response is not None

    @property
    def response(self) -> ProxyResponse:
        """The answer; ValueError until there is one. Setting another gives up the body of the one before."""
        if self._response is None:
            raise ValueError("the response is not yet set")
        return self._response

    @response.setter
    def response(self, response: ProxyResponse) -> None:
        previous, self._response = self._response, response
        if previous is not None and previous.body is not response.body:
            previous.abort()

    @property
    def identity(self) -> Identity | None:
        """Who calls, None for an open route; setting it tells the target in `X-Portico-Subject`."""
        return self._identity

    @identity.setter
    def identity(self, identity: Identity | None) -> None:
        before, self._identity = self._identity, identity
        request = self.request
        unread = request.unread_fields
        if unread is not None and before is None and identity is not None and not identity.fields:
            if identity.subject:
                unread.add(SUBJECT, field_value(identity.subject))  # the client's own has gone already
            return
        request.headers.popall(SUBJECT, None)
        if identity is not None:
            if identity.subject:
                request.headers[SUBJECT] = field_value(identity.subject)
            request.headers.update(identity.fields)

    @property
    def session_factory(self) -> SessionFactory:
        """What makes the client session."""
        return self._sessions.factory

    @property
    def session(self) -> ClientSession:
        """The client session, made now if there is none; the same one in every request's copy."""
        return self._sessions.get()

    def start_session(self) -> None:
        """Make the client session now rather than on the first request; call with a running loop."""
        self._sessions.get()

    async def close_session(self) -> None:
        """Close the client session; idempotent. A later request makes a new one."""
        await self._sessions.close()

    def defer(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the request is over, whatever happens to it; last deferred, first called."""
        if self._deferred is None:
            self._deferred = []
        self._deferred.append(callback)

    def run_deferred(self) -> None:
        """Call what was deferred; whoever made this copy owes this call, in `finally`. A failing one stops no other."""
        while self._deferred:
            try:
                self._deferred.pop()()
            except Exception:
                log.exception("a deferred callback failed")
        # An error's traceback leads back to here; without this each failed request would be left to the collector.
        self.error = None


def configure_contexts(app: web.Application, ctxs: Iterable[ProxyContext]) -> None:
    """Make the contexts' sessions when the application starts, and close them when its last request is over."""
    contexts = tuple(ctxs)

    async def start(_: web.Application) -> None:
        for ctx in contexts:
            ctx.start_session()

    async def close(_: web.Application) -> None:
        for ctx in contexts:
            await ctx.close_session()

    # Not on_shutdown: that signal is sent while requests are still being answered.
    app.on_startup.append(start)
    app.on_cleanup.append(close)
