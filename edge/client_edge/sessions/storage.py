"""aiohttp-session's storage interface on the store: what a session holds is in Redis, the browser has its id.

`load_session` and `save_session` are called as by any application of aiohttp's, with as much of a request and of an
answer as the library asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from aiohttp import web
from aiohttp_session import AbstractStorage, Session

from edge.client_edge.sessions.known import KnownSessions
from edge.cookies import OWN_PREFIX, cookie_dropped, cookie_set
from store.sessions import Kept, Sessions, new_session_id

COOKIE_PREFIX = f"{OWN_PREFIX}."
SUBJECT = "subject"
_ID_CHARS = 43


@dataclass(frozen=True, slots=True)
class CookieRequest:
    """As much of a request as a storage looks at."""

    cookies: Mapping[str, str]


@dataclass(slots=True)
class CookieAnswer:
    """As much of an answer as a storage writes; `lines` are the values of its `Set-Cookie` fields."""

    lines: list[str] = field(default_factory=list)

    def set_cookie(self, name: str, value: str, **_: Any) -> None:
        """Have the browser keep a cookie."""
        self.lines.append(cookie_set(name, value))

    def del_cookie(self, name: str, **_: Any) -> None:
        """Have the browser forget a cookie."""
        self.lines.append(cookie_dropped(name))


class RedisStorage(AbstractStorage):
    """Keeps the sessions of one method of a tenant. A session names its subject as `subject`.

    StoreError when Redis cannot be asked; CodecError when a session holds too much.
    """

    def __init__(self, tenant: str, method: str, idle_s: float, sessions: Sessions, known: KnownSessions) -> None:
        super().__init__(cookie_name=COOKIE_PREFIX + method, secure=True, httponly=True, samesite="Lax")
        self._tenant = tenant
        self._method = method
        self._idle_s = idle_s
        self._sessions = sessions
        self._known = known

    def session_id(self, cookies: Mapping[str, str]) -> str | None:
        """Give the id that a browser shows, None when it has none that could be one."""
        shown = cookies.get(self.cookie_name)
        return shown if shown is not None and len(shown) == _ID_CHARS else None

    def peek(self, session_id: str) -> Kept | None:
        """Give a session that is known here, without waiting."""
        return self._known.known(self._tenant, self._name(session_id), self._idle_s)

    async def find(self, session_id: str) -> Kept | None:
        """Give a session by its id, None when there is none; without its identity token, which few ask for."""
        return await self._known.get(self._tenant, self._name(session_id), self._idle_s)

    async def load_session(self, request: web.Request | CookieRequest) -> Session:
        """Give the browser's session as Redis has it, a new one when it has none that is good."""
        session_id = self.session_id(request.cookies)
        if session_id is None:
            return await self.new_session()
        kept = await self._sessions.get(self._tenant, self._name(session_id), self._idle_s)
        if kept is None:
            return await self.new_session()
        data = {"created": int(kept.data.get("began_s", 0)), "session": {**kept.data, SUBJECT: kept.subject}}
        return Session(session_id, data=cast(Any, data), new=False)

    async def save_session(
        self, request: web.Request | CookieRequest, response: web.StreamResponse | CookieAnswer, session: Session
    ) -> None:
        """Keep what a session holds: a new one under a new id; one that was emptied is forgotten."""
        assert isinstance(response, CookieAnswer)
        if session.new:
            old = self.session_id(request.cookies)
            if old is not None:
                await self.forget(old)  # who knew the browser's id before it logged in shall have nothing of it
            session.set_new_identity(new_session_id())
        session_id = str(session.identity)
        if session.empty:
            await self.forget(session_id)
            response.del_cookie(self.cookie_name)
            return
        name = self._name(session_id)
        self._known.drop(self._tenant, name)
        data = {name: value for name, value in session.items() if name != SUBJECT}
        await self._sessions.put(self._tenant, name, Kept(session[SUBJECT], data), self._idle_s)
        response.set_cookie(self.cookie_name, session_id)

    async def forget(self, session_id: str) -> None:
        """End a session, here at once, and at every worker that hears of it; elsewhere within a minute."""
        self._known.drop(self._tenant, self._name(session_id))
        await self._sessions.delete(self._tenant, self._name(session_id))

    def _name(self, session_id: str) -> str:
        """Name a session in the store: nobody finds, or keeps alive, the session of another method."""
        return f"{self._method}/{session_id}"
