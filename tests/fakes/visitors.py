"""A person's browser as far as cookies and redirects go, before a running edge: quick, and as odd as a test wants it.

For what only a real browser can tell, see `tests/paths/test_a_login.py`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, DummyCookieJar
from yarl import URL

from tests.fakes.edges import Answer, RunningEdge
from tests.fakes.openid import CLIENT_ID, CLIENT_SECRET, RunningProvider

SECRET_KEY = base64.b64encode(b"k" * 32).decode()
SECRETS = {"PORTICO_SECRET_KEY": SECRET_KEY, "PORTICO_OIDC_CLIENT_SECRET": CLIENT_SECRET}
HOST = "shop.localhost"
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
LOGIN, CALLBACK, LOGOUT = "/.portico/login", "/.portico/callback", "/.portico/logout"


def operators(provider: RunningProvider) -> dict[str, str]:
    """Give the flags of an edge whose operator has this provider."""
    return {"oidc_issuer": provider.issuer, "oidc_client_id": CLIENT_ID}


def document(*targets: str, route: Mapping[str, Any] | None = None, **login: Any) -> dict[str, Any]:
    """A tenant with one domain and one route for everything, where browsers log in."""
    return {
        "tenant": "acme",
        "domains": [{"host": HOST, "verified_by": "operator"}],
        "upstreams": {"app": {"targets": list(targets)}},
        "auth": {"login": {"type": "session", **login}},
        "routes": [{"name": "all", "path": "/*", "upstream": "app", "auth": ["login"], **(route or {})}],
    }


@dataclass
class Visitor:
    """One browser, with its cookies for one host; `port` None: the usual one. `always`: fields of all its requests."""

    edge: RunningEdge
    host: str = HOST
    cookies: dict[str, str] = field(default_factory=dict)
    port: int | None = 0
    always: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.authority = self.host if self.port is None else f"{self.host}:{self.port or self.edge.port}"

    async def ask(self, method: str, path: str, **headers: str) -> Answer:
        """Ask with the cookies that are there, and keep those that the answer sets."""
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = await self.edge.ask(method, path, self.authority, b"", **{**self.always, **headers})
        for line in answer.set_cookies:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return answer

    async def get(self, path: str, **headers: str) -> Answer:
        """Fetch something, as a page's script does."""
        return await self.ask("GET", path, **headers)

    async def visit(self, path: str, **headers: str) -> Answer:
        """Go to a page."""
        return await self.ask("GET", path, **{**PAGE, **headers})

    async def begin(self, path: str = "/echo") -> str:
        """Go to a page, and be sent to the provider: its address."""
        asked = await self.visit(path)
        assert asked.status == 302, asked
        sent = await self.visit(asked.headers["location"])
        assert sent.status == 302, sent
        return sent.headers["location"]

    async def log_in(self, name: str = "ann", path: str = "/echo") -> Answer:
        """Go to a page, log in at the provider, come back: the answer to what the provider sent the browser to."""
        return await self.visit(await answered(await self.begin(path), name))


async def answered(where: str, name: str = "ann") -> str:
    """Log in at the provider; gives the path and query that the browser is sent back to."""
    async with (
        ClientSession(cookie_jar=DummyCookieJar()) as session,
        session.post(URL(where, encoded=True), data={"name": name}, allow_redirects=False) as answer,
    ):
        assert answer.status == 302, await answer.text()
        return URL(answer.headers["Location"], encoded=True).raw_path_qs
