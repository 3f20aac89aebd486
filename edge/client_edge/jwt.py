"""JSON Web Tokens as a way to show who calls (RFC 7519), judged by RFC 8725: what the document says, never the token.

The algorithms, the issuer and its keys come from the document and from nowhere else; a token that brings or names keys
of its own, or asks for what we do not know (`crit`), is refused before any key is looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import time
from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple

from jwt import PyJWS, PyJWTError

from edge.client_edge.auth import AuthMethod
from edge.client_edge.jwks import MAX_KID_CHARS, PublicKey
from edge.client_edge.key_sets import KeySets
from edge.client_edge.token_cache import Remembered, TokenCache
from edge.context import Identity, ProxyContext
from edge.headers import BLANKS
from edge.message import ProxyRequest
from store.model import JwtAuth

LEEWAY_S = 60
MAX_TOKEN_CHARS = 8192
MAX_CLAIM_DEPTH = 16
MAX_SUBJECT_CHARS = 1024
MAX_TIME_S = 2**53
FORBIDDEN_HEADERS = ("crit", "jku", "jwk", "x5u", "x5c", "b64")
"""What would have us trust a key of the token's own, or read it in another way than RFC 7519 says."""
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_BEARER = "bearer "
_JWS = PyJWS(options={"enforce_minimum_key_length": True})


class Token(NamedTuple):
    """A token taken apart; nothing in it is believed yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


class Demands(NamedTuple):
    """What a token must be, as the document says."""

    issuer: str
    audience: str
    algorithms: frozenset[str]
    subject_claim: str


def read_token(text: str) -> Token | None:
    """Take a token in the compact form apart (RFC 7515 section 7.1), None for anything that is none."""
    segments = text.split(".", 3) if len(text) <= MAX_TOKEN_CHARS else ()
    if len(segments) != 3 or not all(map(_SEGMENT.fullmatch, segments)):
        return None
    header, claims = _json_object(segments[0]), _json_object(segments[1])
    return None if header is None or claims is None else Token(header, claims)


def _json_object(segment: str) -> dict[str, Any] | None:
    try:
        found = json.loads(
            base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode(), parse_constant=_refused
        )
        if not isinstance(found, dict) or not _is_shallow(found, MAX_CLAIM_DEPTH):
            return None
        json.dumps(found, ensure_ascii=False).encode()  # half of a surrogate pair could not be counted or passed on
    except (ValueError, RecursionError, binascii.Error):
        return None
    return found


def _refused(constant: str) -> None:
    raise ValueError(constant)


def _is_shallow(value: object, levels: int) -> bool:
    inner: Collection[object] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not inner or (levels > 0 and all(_is_shallow(each, levels - 1) for each in inner))


def fault_in_header(header: Mapping[str, Any], demands: Demands) -> str:
    """Say why no key is to be looked for, "" when the header is as it must be."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in demands.algorithms:
        return "alg"
    for name in FORBIDDEN_HEADERS:
        if name in header:
            return name
    return "" if kid is None or (isinstance(kid, str) and len(kid) <= MAX_KID_CHARS) else "kid"


def fault_in_claims(claims: Mapping[str, Any], demands: Demands, now_s: float) -> str:
    """Name the claim that lets nobody pass, "" when all of them are as they must be (RFC 7519 section 4.1)."""
    if claims.get("iss") != demands.issuer:
        return "iss"
    audience = claims.get("aud")
    if audience != demands.audience and not (isinstance(audience, list) and demands.audience in audience):
        return "aud"
    if not _is_time(claims.get("exp")) or now_s >= claims["exp"] + LEEWAY_S:
        return "exp"
    if "nbf" in claims and (not _is_time(claims["nbf"]) or now_s < claims["nbf"] - LEEWAY_S):
        return "nbf"
    return "" if subject_of(claims, demands) else demands.subject_claim


def subject_of(claims: Mapping[str, Any], demands: Demands) -> str:
    """Say who the token is about, "" when it does not say so."""
    value = claims.get(demands.subject_claim)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and len(value) <= MAX_SUBJECT_CHARS else ""


def scopes_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """List the scopes: `scope` (RFC 8693 section 4.2) or `scp`, as words in a text or as a list."""
    value = claims.get("scope", claims.get("scp"))
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_TIME_S


def is_signed_by(text: str, key: PublicKey, algorithm: str) -> bool:
    """Say whether this very key has signed a token, with this very algorithm."""
    try:
        _JWS.decode_complete(text, key.key, algorithms=[algorithm])
    except (PyJWTError, ValueError, TypeError):
        return False
    return True


def weight_of(claims: Mapping[str, Any]) -> int:
    """Say about how many bytes it takes to remember a token: many small values take more than their text."""
    text = json.dumps(dict(claims))
    return 1024 + 2 * len(text) + 100 * sum(map(text.count, ",:[{"))


class JwtMethod(AuthMethod):
    """Knows a tenant's callers by tokens of one issuer; it holds the issuer's key set and owes it `close()`."""

    challenge = 'Bearer realm="portico"'
    rejection = 'Bearer realm="portico", error="invalid_token"'

    def __init__(
        self,
        tenant: str,
        declared: JwtAuth,
        key_sets: KeySets,
        tokens: TokenCache,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._tenant = tenant
        self._header = declared.header or "Authorization"
        self._demands = Demands(
            declared.issuer, declared.audience, frozenset(declared.algorithms), declared.subject_claim
        )
        self._judged_by = blake2b(declared.model_dump_json().encode(), digest_size=32).digest()
        self._keys = key_sets.hold(tenant, declared.jwks_url)
        self._tokens = tokens
        self._now_s = now_s

    def close(self) -> None:
        """Give the issuer's key set back."""
        self._keys.release()

    def shown(self, request: ProxyRequest, *, keep: bool) -> str | None:
        """Give the token: a bearer token (RFC 6750 section 2.1), or what is in the declared header."""
        given = request.in_req.headers.getall(self._header, ())
        if not given:
            return None
        is_bearer = given[0][: len(_BEARER)].lower() == _BEARER
        if not is_bearer and self._header.lower() == "authorization":
            return None  # it is of another scheme, and somebody else's
        if not keep:
            request.remove_field(self._header)
        if len(given) > 1:
            return ""  # which of them is meant nobody can tell
        return given[0][len(_BEARER) :].strip(BLANKS) if is_bearer else given[0]

    def known(self, ctx: ProxyContext, shown: str) -> Identity | None:  # noqa: ARG002 - the token says it all
        """Say who calls with a token that was found good before, if it still is."""
        found = self._tokens.get(self._tenant, self._hash(shown))
        if found is None or not found.begins_s <= self._now_s() < found.ends_s:
            return None
        return found.identity if self._keys.trusts(found.fingerprint) else None

    async def judge(self, ctx: ProxyContext, shown: str) -> Identity | None:  # noqa: ARG002 - the token says it all
        """Say who calls; EdgeError `auth_unavailable` while nobody can tell which keys the issuer has."""
        token = read_token(shown)
        if token is None or fault_in_header(token.header, self._demands) or self._fault(token.claims):
            return None
        algorithm = token.header["alg"]
        key = await self._keys.key(token.header.get("kid"), algorithm)
        if key is None or not is_signed_by(shown, key, algorithm):
            return None
        claims = token.claims
        if self._fault(claims):
            return None  # it has ended while the issuer was asked
        subject = subject_of(claims, self._demands)
        identity = Identity(subject, None, "jwt", scopes_of(claims), MappingProxyType(claims))
        self._remember(shown, identity, key)
        return identity

    def _fault(self, claims: Mapping[str, Any]) -> str:
        return fault_in_claims(claims, self._demands, self._now_s())

    def _remember(self, shown: str, identity: Identity, key: PublicKey) -> None:
        claims = identity.claims or {}
        begins_s, ends_s = claims.get("nbf", -math.inf) - LEEWAY_S, claims["exp"] + LEEWAY_S
        found = Remembered(identity, begins_s, ends_s, key.fingerprint, weight_of(claims))
        self._tokens.put(self._tenant, self._hash(shown), found)

    def _hash(self, shown: str) -> bytes:
        return blake2b(shown.encode("utf-8", "surrogateescape"), key=self._judged_by, digest_size=32).digest()
