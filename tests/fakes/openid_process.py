"""The process of `openid.py`: `python -m tests.fakes.openid_process PORT` prints its issuer and serves until its end.

Authlib has no part for aiohttp, so here is one: requests and answers in the form that its server asks for.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, OAuth2Request
from authlib.oauth2.rfc6749.errors import OAuth2Error
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core.grants import OpenIDCode
from joserfc.jwk import RSAKey

from tests.fakes.openid import CLIENT_ID, CLIENT_SECRET, LOGOUT_TITLE, PUBLIC_CLIENT_ID

KEY_ID = "first"


class Request(OAuth2Request):  # type: ignore[misc]
    """An aiohttp request, its form read already, as Authlib takes it."""

    def __init__(self, request: web.Request, form: dict[str, str]) -> None:
        super().__init__(request.method, str(request.url), headers=request.headers)
        self._args, self._form = dict(request.query), form
        self.payload = BasicOAuth2Payload({**self._args, **form})

    @property
    def args(self) -> dict[str, str]:
        return self._args

    @property
    def form(self) -> dict[str, str]:
        return self._form


@dataclass
class Client(ClientMixin):  # type: ignore[misc]
    """A client that may come back to any address under /.portico/callback."""

    client_id: str
    secret: str | None

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        return None

    def get_allowed_scope(self, scope: str) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri.endswith("/.portico/callback")

    def check_client_secret(self, client_secret: str) -> bool:
        return self.secret is not None and secrets.compare_digest(client_secret, self.secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == ("none" if self.secret is None else "client_secret_basic")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code:
    """An authorization code, good once."""

    code: str
    client_id: str
    redirect_uri: str
    scope: str
    user: str
    nonce: str | None
    code_challenge: str | None
    code_challenge_method: str | None

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str | None:
        return self.nonce

    def get_auth_time(self) -> int:
        return int(time.time())

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "none"]  # noqa: RUF012 - Authlib's own form

    def save_authorization_code(self, code: str, request: Request) -> None:
        asked = request.payload.data
        self.server.codes[code] = Code(
            code,
            request.client.client_id,
            asked["redirect_uri"],
            request.scope,
            request.user,
            asked.get("nonce"),
            asked.get("code_challenge"),
            asked.get("code_challenge_method"),
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found = self.server.codes.get(code)
        return found if found is not None and found.client_id == client.client_id else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        del self.server.codes[authorization_code.code]

    def authenticate_user(self, authorization_code: Code) -> str:
        return authorization_code.user


class Tokens(OpenIDCode):  # type: ignore[misc]
    """Identity tokens, with what the test has told to be wrong with them."""

    def __init__(self, server: Server) -> None:
        super().__init__(require_nonce=True)
        self._server = server

    def exists_nonce(self, nonce: str, request: Request) -> bool:
        return any(code.nonce == nonce for code in self._server.codes.values())

    def resolve_client_private_key(self, client: Client) -> RSAKey:
        return self._server.stranger if self._server.manners.get("sign") == "stranger" else self._server.key

    def get_client_algorithm(self, client: Client) -> str:
        return "none" if self._server.manners.get("sign") == "none" else "RS256"

    def get_encode_header(self, client: Client) -> dict[str, str]:
        return {"alg": self.get_client_algorithm(client), "kid": KEY_ID}

    def get_client_claims(self, client: Client) -> dict[str, Any]:
        return {"iss": self._server.issuer, "aud": [client.client_id]}

    def get_compatible_claims(self, request: Request) -> dict[str, Any]:
        return self._kept(super().get_compatible_claims(request))

    def get_authorization_code_claims(self, authorization_code: Code) -> dict[str, Any]:
        return self._kept(super().get_authorization_code_claims(authorization_code))

    def generate_user_info(self, user: str, scope: str) -> dict[str, Any]:
        told = self._server.manners.get("claims", {})
        return self._kept({"sub": user, "name": user.title(), "email": f"{user}@acme.test", **told})

    def _kept(self, claims: dict[str, Any]) -> dict[str, Any]:
        dropped = self._server.manners.get("drop", ())
        return {name: value for name, value in claims.items() if name not in dropped}

    def process_token(self, grant: Any, response: Any) -> Any:
        token = super().process_token(grant, response)
        if self._server.manners.get("id_token"):
            token["id_token"] = self._server.manners["id_token"]
        return token


@dataclass
class Seen:
    described: int = 0
    tokens: int = 0
    ended: list[str] = field(default_factory=list)


class Server(AuthorizationServer):  # type: ignore[misc]
    """The provider: Authlib's server, with an aiohttp application in front of it."""

    def __init__(self, issuer: str) -> None:
        super().__init__(scopes_supported=["openid", "profile", "email"])
        self.issuer = issuer
        self.key = RSAKey.generate_key(2048, {"kid": KEY_ID, "use": "sig", "alg": "RS256"})
        self.stranger = RSAKey.generate_key(2048, {"kid": KEY_ID, "use": "sig", "alg": "RS256"})
        self.codes: dict[str, Code] = {}
        clients = Client(CLIENT_ID, CLIENT_SECRET), Client(PUBLIC_CLIENT_ID, None)
        self.clients = {each.client_id: each for each in clients}
        self.manners: dict[str, Any] = {}
        self.seen = Seen()
        self.register_grant(CodeGrant, [Tokens(self), CodeChallenge(required=True)])
        self.register_token_generator("default", BearerTokenGenerator(lambda *_, **__: secrets.token_urlsafe()))

    def query_client(self, client_id: str) -> Client | None:
        return self.clients.get(client_id)

    def save_token(self, token: Any, request: Any) -> None:
        """Keep none: nobody asks for one again."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Tell nobody."""

    def create_oauth2_request(self, request: Request) -> Request:
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> web.Response:
        if isinstance(body, dict):
            others = {name: value for name, value in headers if name != "Content-Type"}
            return web.json_response(body, status=status, headers=others)
        return web.Response(text=body, status=status, headers=dict(headers))

    # -- what it answers ------------------------------------------------------------------------------------------

    async def describe(self, _: web.Request) -> web.Response:
        self.seen.described += 1
        at = self.issuer
        told = {
            "issuer": at,
            "authorization_endpoint": f"{at}/authorize",
            "token_endpoint": f"{at}/token",
            "jwks_uri": f"{at}/jwks",
            "end_session_endpoint": f"{at}/end",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": bool(self.manners.get("names_itself")),
            **self.manners.get("describes", {}),
        }
        return web.json_response(told, status=self.manners.get("status", 200))

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [self.key.as_dict(private=False)]})

    async def authorize(self, request: web.Request) -> web.StreamResponse:
        asked = Request(request, {})
        try:
            grant = self.get_consent_grant(asked)
        except OAuth2Error as error:
            return web.Response(text=f"refused: {error.error} {error.description}", status=400)
        assert asked.payload.data.get("code_challenge_method") == "S256", "PKCE is a must here"
        user = request.cookies.get("provider") or (await request.post()).get("name")
        if not user:
            return web.Response(text=LOGIN_FORM.format(escape(asked.payload.client_id)), content_type="text/html")
        denied = self.manners.get("deny")
        answer = self.create_authorization_response(asked, None if denied else str(user), grant=grant)
        more = {**self.manners.get("answer", {}), **({"iss": self.issuer} if self.manners.get("names_itself") else {})}
        if more:
            answer.headers["Location"] += f"&{urlencode(more)}"
        answer.set_cookie("provider", str(user))
        return answer  # type: ignore[no-any-return]

    async def token(self, request: web.Request) -> web.StreamResponse:
        self.seen.tokens += 1
        if "status" in self.manners:
            return web.Response(status=self.manners["status"])
        form = {name: str(value) for name, value in (await request.post()).items()}
        return self.create_token_response(Request(request, form))  # type: ignore[no-any-return]

    async def end(self, request: web.Request) -> web.Response:
        self.seen.ended.append(request.query.get("client_id", ""))
        assert request.query["id_token_hint"].count(".") == 2
        answer = web.Response(text=f"<title>{LOGOUT_TITLE}</title><h1>{LOGOUT_TITLE}</h1>", content_type="text/html")
        answer.del_cookie("provider")
        return answer

    async def change_manners(self, request: web.Request) -> web.Response:
        self.manners, self.seen = await request.json(), Seen()
        return web.Response()

    async def tell_seen(self, _: web.Request) -> web.Response:
        return web.json_response(vars(self.seen))

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/.well-known/openid-configuration", self.describe),
                web.get("/jwks", self.keys),
                web.get("/authorize", self.authorize),
                web.post("/authorize", self.authorize),
                web.post("/token", self.token),
                web.get("/end", self.end),
                web.post("/control/manners", self.change_manners),
                web.get("/control/seen", self.tell_seen),
            ]
        )
        return app


LOGIN_FORM = """<!doctype html><title>Who are you?</title><form method=post>
<p>{} wants to know: <input name=name autofocus> <button>Log in</button></form>"""


def main() -> None:
    """Serve until SIGTERM."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # it is on loopback
    sock = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    issuer = f"http://127.0.0.1:{sock.getsockname()[1]}"
    app = Server(issuer).application()

    def announce(*_: object) -> None:
        sys.stdout.write(f"{issuer}\n")
        sys.stdout.flush()

    web.run_app(app, sock=sock, print=announce)


if __name__ == "__main__":
    main()
