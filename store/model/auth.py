"""Who may call, as documents declare it: one part for each way to show it, told apart by `type`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, StrictStr, WithJsonSchema

from store.model.fields import MAX_CLAIM_LENGTH, check_claim, check_line
from store.model.parts import FieldName, Given, ParamName, Part, Scope, Seconds
from store.model.passwords import check_password_hash
from store.model.services import check_service_url
from store.sealing import is_sealed

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


ServiceUrl = Annotated[StrictStr, Field(max_length=2048), AfterValidator(check_service_url)]
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


def _issuer(raw: str) -> str:
    if "?" in raw:
        raise ValueError("an issuer has no query")
    return check_service_url(raw)


Issuer = Annotated[StrictStr, Field(max_length=2048), AfterValidator(_issuer)]
MAX_SECRET_LENGTH = 1024


def _secret(raw: str) -> str:
    if len(raw) > MAX_SECRET_LENGTH and not is_sealed(raw):  # sealing makes it longer
        raise ValueError(f"is longer than {MAX_SECRET_LENGTH} characters")
    return check_line(raw)


Secret = Annotated[StrictStr, Field(min_length=1, max_length=8 * MAX_SECRET_LENGTH), AfterValidator(_secret)]


class SessionAuth(Part):
    """Browsers log in at an OpenID provider: the one named here, or the operator's.

    A client secret is sealed when the document is written, and only ever shown as `sealed:v1:...`.
    """

    type: Literal["session"]
    issuer: Annotated[Issuer | None, Given] = None
    client_id: Annotated[
        Annotated[StrictStr, Field(min_length=1, max_length=512), AfterValidator(check_line)] | None, Given
    ] = None
    client_secret: Annotated[Secret | None, Given] = Field(default=None, repr=False)
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=32)] = ("openid", "profile", "email")
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


USER_NAME_FORM = r"^[^:\x00-\x1f\x7f]{1,128}$"
REALM_FORM = r"^[ -~]{1,128}$"


def _user_name(raw: str) -> str:
    if ":" in raw:  # RFC 7617 section 2
        raise ValueError("a colon cannot be in a user's name: before a password it ends the name")
    if not 1 <= len(raw) <= 128:
        raise ValueError("a user's name is 1 to 128 characters long")
    if re.fullmatch(USER_NAME_FORM, raw) is None:
        raise ValueError("a user's name has no line break and no other control character")
    return raw


def _realm(raw: str) -> str:
    if re.fullmatch(REALM_FORM, raw) is None:
        raise ValueError("a realm is 1 to 128 printable characters of ASCII")
    return raw


UserName = Annotated[
    StrictStr, AfterValidator(_user_name), WithJsonSchema({"type": "string", "pattern": USER_NAME_FORM})
]
PasswordHash = Annotated[StrictStr, Field(max_length=512), AfterValidator(check_password_hash)]
Realm = Annotated[StrictStr, AfterValidator(_realm), WithJsonSchema({"type": "string", "pattern": REALM_FORM})]


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
