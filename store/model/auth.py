"""Who may call, as documents declare it: one part for each way to show it, told apart by `type`."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, StrictStr, StringConstraints, WithJsonSchema

from store.model.fields import MAX_CLAIM_LENGTH, check_claim, check_line
from store.model.parts import FieldName, Given, ParamName, Part, Seconds
from store.model.passwords import check_password_hash
from store.model.targets import parse_target_url

DEFAULT_KEY_HEADER = "X-API-Key"
JwtAlgorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
"""The algorithms with a key pair: a secret that many share, as HS256 has, would let every target sign."""


class ApiKeyAuth(Part):
    """Callers show an API key in a header (by default `X-API-Key`) or in a query parameter."""

    type: Literal["api_key"]
    header_field: Annotated[FieldName | None, Given] = Field(default=None, alias="header")
    query: Annotated[ParamName | None, Given] = None

    @property
    def header(self) -> str | None:
        """The header field that carries the key, None when the query does."""
        return self.header_field or (None if self.query else DEFAULT_KEY_HEADER)


def _service_url(raw: str) -> str:
    """Give the URL of somebody's service back; ValueError for anything that is not one, or not safe on its way."""
    if "#" in raw:
        raise ValueError("a service's URL has no fragment")
    plain = raw.partition("?")[0]
    location = parse_target_url(plain)
    if location.scheme == "http" and urlsplit(plain).hostname != "localhost" and not _is_address(location.host):
        raise ValueError("expected https: who can change the answer on its way can let anybody in")
    return raw


def _is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


ServiceUrl = Annotated[StrictStr, Field(max_length=2048), AfterValidator(_service_url)]
Claim = Annotated[
    StrictStr,
    AfterValidator(check_claim),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_CLAIM_LENGTH}),
]


class JwtAuth(Part):
    """Callers show a JSON Web Token of one issuer, as a bearer token (RFC 6750) or in a header of its own."""

    type: Literal["jwt"]
    issuer: Annotated[StrictStr, Field(min_length=1, max_length=2048), AfterValidator(check_line)]
    audience: Annotated[StrictStr, Field(min_length=1, max_length=2048), AfterValidator(check_line)]
    jwks_url: ServiceUrl
    algorithms: Annotated[tuple[JwtAlgorithm, ...], Field(min_length=1, max_length=10)] = ("RS256",)
    header: Annotated[FieldName | None, Given] = None
    subject_claim: Claim = "sub"


class SessionAuth(Part):
    """Browsers log in at an OpenID provider: the one named here, or the operator's."""

    type: Literal["session"]
    issuer: Annotated[ServiceUrl | None, Given] = None
    client_id: Annotated[StrictStr | None, Given, Field(max_length=512)] = None
    scopes: Annotated[tuple[Annotated[StrictStr, Field(min_length=1, max_length=128)], ...], Field(max_length=32)] = (
        "openid",
        "profile",
        "email",
    )
    idle_timeout_s: Seconds = Field(default=1800.0, alias="idle_timeout")
    lifetime_s: Seconds = Field(default=43_200.0, alias="lifetime")
    subject_claim: Claim = "sub"


class ForwardAuth(Part):
    """Another service is asked about each request: its 2xx lets it pass, any other answer goes to the client."""

    type: Literal["forward"]
    url: ServiceUrl
    copy_headers: Annotated[tuple[FieldName, ...], Field(max_length=32)] = ()
    subject_header: Annotated[FieldName | None, Given] = None
    timeout_s: Seconds = Field(default=2.0, alias="timeout")


UserName = Annotated[StrictStr, StringConstraints(pattern=r"^[^:\x00-\x1f\x7f]{1,128}$")]
PasswordHash = Annotated[StrictStr, Field(max_length=512), AfterValidator(check_password_hash)]
Realm = Annotated[StrictStr, StringConstraints(pattern=r"^[ -~]{1,128}$")]


class BasicAuth(Part):
    """Callers show a name and a password (RFC 7617); what is kept of a password is its argon2id hash."""

    type: Literal["basic"]
    users: Annotated[dict[UserName, PasswordHash], Field(min_length=1, max_length=256)]
    realm: Realm = "portico"


AuthMethod = ApiKeyAuth | JwtAuth | SessionAuth | ForwardAuth | BasicAuth
AUTH_TYPES: dict[str, type[AuthMethod]] = {
    "api_key": ApiKeyAuth,
    "jwt": JwtAuth,
    "session": SessionAuth,
    "forward": ForwardAuth,
    "basic": BasicAuth,
}


def auth_part(raw: object) -> type[AuthMethod]:
    """Give the part that a raw method is by its `type`; where it is none, the one with the fewest demands."""
    kind = raw.get("type") if isinstance(raw, dict) else None
    return AUTH_TYPES.get(kind, ApiKeyAuth) if isinstance(kind, str) else ApiKeyAuth


AnyAuth = Annotated[AuthMethod, Discriminator("type")]
