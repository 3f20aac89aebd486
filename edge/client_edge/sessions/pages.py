"""What the edge answers under `/.portico/` for a tenant whose browsers log in: `login`, `callback` and `logout`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from edge.client_edge.jwt import Demands, subject_of
from edge.client_edge.sessions import html
from edge.client_edge.sessions.attempts import (
    ATTEMPT_KEPT_S,
    Attempt,
    authorization_url,
    code_in,
    find,
    new_attempt,
    read_query,
    refused,
    seal,
    superfluous,
    with_query,
)
from edge.client_edge.sessions.browser import Site, comes_from, is_visit, safe_return_path, wants_html
from edge.client_edge.sessions.identity_token import ALGORITHMS, claims_of, of_the_person
from edge.client_edge.sessions.method import LOGIN_PATH, Login, site
from edge.client_edge.sessions.parts import SessionParts
from edge.client_edge.sessions.providers import Redemption, redeem
from edge.client_edge.sessions.storage import CookieAnswer, CookieRequest
from edge.context import ProxyContext
from edge.cookies import SET_COOKIE, cookie_dropped, cookie_set, own_cookies
from edge.errors import EdgeError
from edge.message import ProxyResponse
from store.codec import CodecError, pack_fields
from store.errors import StoreError
from store.model.paths import RESERVED_PREFIX

CALLBACK_PATH = f"{RESERVED_PREFIX}callback"
LOGOUT_PATH = f"{RESERVED_PREFIX}logout"
MAX_CLAIMS_BYTES = 4096
BY_PLAIN_HTTP = "by plain http, where no browser keeps a Secure cookie"
_NO_STORE = ("Cache-Control", "no-store")
_FORGET_PAGES = ("Clear-Site-Data", '"cache"')  # or the back button would show what it showed before
_TO_PEOPLE: Mapping[str, tuple[str, str]] = {
    "login_failed": (
        "You are not logged in",
        "This login took too long, was begun in another browser, or was refused. Nothing else has happened.",
    ),
    "forbidden": ("Not allowed", "Another site asked for this in your name, so it was not done."),
}
_NOT_NOW = ("Not possible at the moment", "Whoever looks after logins does not answer. Please try again in a minute.")

Page = Callable[[ProxyContext], Awaitable[ProxyResponse]]


class LoginPages:
    """The pages of one tenant; `logins` are its session methods by name, the first being the usual one."""

    def __init__(self, tenant: str, logins: Mapping[str, Login], parts: SessionParts) -> None:
        self._tenant = tenant
        self._logins = logins
        self._parts = parts

    def middlewares(self) -> list[tuple[str, tuple[str, ...], Callable[[ProxyContext], Awaitable[None]]]]:
        """List each page's path, methods and middleware, which answers early."""
        return [
            (LOGIN_PATH, ("GET",), _answering(self._login)),
            (CALLBACK_PATH, ("GET",), _answering(self._callback)),
            (LOGOUT_PATH, ("GET", "POST"), _answering(self._logout)),
        ]

    async def _login(self, ctx: ProxyContext) -> ProxyResponse:
        """Begin an attempt, and send the browser to the provider."""
        asked = read_query(ctx.request.query_string)
        login = self._named(asked.get("method", next(iter(self._logins))))
        here = _safe(site(ctx))
        metadata = await login.provider.metadata()
        attempt = new_attempt(login.name, safe_return_path(asked.get("return_to", "/")), self._parts.now_s())
        party = login.party
        where = authorization_url(
            metadata.authorization_endpoint, attempt, party.client_id, here.url + CALLBACK_PATH, login.declared.scopes
        )
        content = seal(attempt, self._parts.sealer, self._tenant)
        dropped = [cookie_dropped(name) for name in superfluous(own_cookies(ctx.request.in_req.headers))]
        return _redirect(302, where, [*dropped, cookie_set(attempt.cookie, content, ATTEMPT_KEPT_S)])

    async def _callback(self, ctx: ProxyContext) -> ProxyResponse:
        """Take the provider's answer, and begin a session when it says who has logged in."""
        answer = read_query(ctx.request.query_string)
        cookies = own_cookies(ctx.request.in_req.headers)
        attempt = find(cookies, answer.get("state", ""), self._parts.sealer, self._tenant)
        over = cookie_dropped(attempt.cookie)
        login = self._named(attempt.method)
        try:
            data = await self._identify(login, attempt, answer, _safe(site(ctx)))
            written = CookieAnswer()
            session = await login.storage.new_session()
            session.update(data)
            await login.storage.save_session(CookieRequest(cookies), written, session)
        except (EdgeError, StoreError) as cause:
            error = _edge_error(cause)
            error.headers = (*error.headers, (SET_COOKIE, over))
            _explain(ctx, error, login.path(attempt.return_to))
            raise error from (None if error is cause else cause)
        return _redirect(302, attempt.return_to, [over, *written.lines])

    async def _identify(self, login: Login, attempt: Attempt, answer: Mapping[str, str], here: Site) -> dict[str, Any]:
        """Change the answer's code into what a session holds of who has logged in."""
        parts, party = self._parts, login.party
        metadata = await login.provider.metadata()
        code = code_in(answer, attempt, party.issuer, parts.now_s(), must_name_issuer=metadata.names_itself)
        if not await parts.sessions.use_login(self._tenant, attempt.state, ATTEMPT_KEPT_S):
            raise refused("this login was answered before")
        given = Redemption(code, attempt.verifier, here.url + CALLBACK_PATH)
        token = await redeem(login.provider.asker, metadata, party, given)
        demands = Demands(party.issuer, party.client_id, ALGORITHMS, login.declared.subject_claim)
        claims = await claims_of(token, attempt, demands, await login.provider.key_set(), parts.now_s())
        person = of_the_person(claims)
        if len(pack_fields(person)) > MAX_CLAIMS_BYTES:
            raise refused("the identity token says too much")
        return login.begun(subject_of(claims, demands), person, token, parts.now_s())

    async def _logout(self, ctx: ProxyContext) -> ProxyResponse:
        """End the browser's sessions here, then the one at the provider; a request in doubt is asked back first."""
        incoming = ctx.request.in_req
        is_own = comes_from(incoming, site(ctx))
        if is_own is False and incoming.method == "POST":
            raise EdgeError("forbidden", "a logout that another site asks for")
        if incoming.method != "POST" and not (is_own and is_visit(incoming)):
            text = f"Do you want to log out of {site(ctx).host}?"
            return html.page(html.render("Log out", text, html.button(LOGOUT_PATH, "Log out")))
        request, written = CookieRequest(own_cookies(incoming.headers)), CookieAnswer()
        ended: list[tuple[Login, str]] = []
        for login in self._logins.values():
            if login.storage.session_id(request.cookies) is None:
                continue
            session = await login.storage.load_session(request)
            ended += [(login, session["id_token"])] if "id_token" in session else []
            session.invalidate()
            await login.storage.save_session(request, written, session)
        onward = await _end_at_provider(*ended[0]) if ended else ""
        again = html.link(next(iter(self._logins.values())).path("/"), "Log in again")
        answer = html.page(html.render("You are logged out", "You can close this window.", again))
        if onward:
            answer = _redirect(303, onward, [])
        _add_cookies(answer, written.lines)
        answer.headers.add(*_FORGET_PAGES)
        return answer

    def _named(self, name: str) -> Login:
        login = self._logins.get(name)
        if login is None:
            raise refused("there is no such way to log in")
        return login


def _answering(page: Page) -> Callable[[ProxyContext], Awaitable[None]]:
    """Make a page's middleware: a store that is lost is a 503, and people read an error as a page."""

    async def answer(ctx: ProxyContext) -> None:
        try:
            ctx.response = await page(ctx)
        except (EdgeError, StoreError) as cause:
            error = _edge_error(cause)
            _explain(ctx, error, LOGIN_PATH)
            raise error from (None if error is cause else cause)

    return answer


def _edge_error(cause: EdgeError | StoreError) -> EdgeError:
    if isinstance(cause, EdgeError):
        return cause
    if isinstance(cause, CodecError):
        return refused("the identity token says too much")
    return EdgeError("store_down", "sessions cannot be kept")


def _explain(ctx: ProxyContext, error: EdgeError, again: str) -> None:
    """Put an error into words for people who read pages, once; `again` is where they can try again."""
    if error.page or _NO_STORE in error.headers:
        return
    if not wants_html(ctx.request.in_req):
        error.headers = (*error.headers, _NO_STORE)
        return
    title, text = _TO_PEOPLE.get(error.code, _NOT_NOW)
    if error.detail == BY_PLAIN_HTTP:
        text = "Logging in needs a secure connection: open this site by https."
    error.page = html.render(title, text, html.link(again, "Log in"), f"Request {ctx.request_id}")
    error.headers = (*error.headers, *html.PAGE_FIELDS)


async def _end_at_provider(login: Login, id_token: str) -> str:
    """Write where the session at the provider is ended (RP-Initiated Logout), "" where there is no such place.

    Without an address to come back to: providers want it registered, and refuse the logout where it is not.
    """
    try:
        metadata = await login.provider.metadata()
    except EdgeError:
        return ""  # it does not answer; here the session is over all the same
    if metadata.end_session_endpoint is None:
        return ""
    return with_query(metadata.end_session_endpoint, {"id_token_hint": id_token, "client_id": login.party.client_id})


def _safe(here: Site) -> Site:
    if not here.keeps_cookies:
        raise refused(BY_PLAIN_HTTP)
    return here


def _redirect(status: int, where: str, cookies: list[str]) -> ProxyResponse:
    answer = ProxyResponse.of(status, [("Location", where), _NO_STORE])
    _add_cookies(answer, cookies)
    return answer


def _add_cookies(answer: ProxyResponse, cookies: list[str]) -> None:
    answer.headers.extend((SET_COOKIE, line) for line in cookies)
