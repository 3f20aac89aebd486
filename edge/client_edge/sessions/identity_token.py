"""The identity token of a login, believed only when it is this provider's, for us, of this attempt, and in time.

OpenID Connect Core section 3.1.3.7, on what is known of tokens (`jwt.py`) and of their issuers' keys (`key_sets.py`).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from edge.client_edge.jwt import Demands, fault_in_claims, fault_in_header, is_signed_by, read_token
from edge.client_edge.key_sets import KeySet
from edge.client_edge.sessions.attempts import Attempt, refused

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""With a key pair: what a shared secret signs, others could have signed too."""
OF_THE_TOKEN = frozenset({"iss", "aud", "exp", "iat", "nbf", "nonce", "at_hash", "c_hash", "azp", "jti", "auth_time"})
"""Claims about the token rather than about who has logged in."""


def fault_of_login(claims: Mapping[str, Any], attempt: Attempt, client_id: str) -> str:
    """Name the claim that does not fit the attempt, "" when all do."""
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), attempt.nonce.encode()):
        return "nonce"
    if "iat" not in claims:
        return "iat"
    authorised = claims.get("azp")
    has_others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    return "azp" if authorised != client_id and (has_others or authorised is not None) else ""


async def claims_of(text: str, attempt: Attempt, demands: Demands, keys: KeySet, now_s: float) -> Mapping[str, Any]:
    """Give what the provider says of who has logged in; EdgeError `login_failed` when it is not to be believed.

    EdgeError `auth_unavailable` while nobody can tell which keys the provider has.
    """
    token = read_token(text)
    if token is None:
        raise refused("the identity token is none")
    header, claims = token
    fault = fault_in_header(header, demands) or fault_in_claims(claims, demands, now_s)
    fault = fault or fault_of_login(claims, attempt, demands.audience)
    if fault:
        raise refused(f"the identity token has a wrong {fault}")
    key = await keys.key(header.get("kid"), header["alg"])
    if key is None or not is_signed_by(text, key, header["alg"]):
        raise refused("the identity token was not signed by its provider")
    return claims


def of_the_person(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the claims about the token."""
    return {name: value for name, value in claims.items() if name not in OF_THE_TOKEN}
