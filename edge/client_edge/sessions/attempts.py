"""A login that is under way: what the browser must bring back, and what the provider is asked. Pure functions.

An attempt is kept by the browser alone, sealed in a cookie of ten minutes: whoever only begins logins leaves nothing
here. Its `state` binds the provider's answer to this browser (RFC 6749 section 10.12), its `nonce` the identity to this
attempt (OpenID Connect Core section 3.1.2.1), its verifier the code to whoever asked for it (PKCE, RFC 7636).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from edge.cookies import OWN_PREFIX
from edge.errors import EdgeError
from store.codec import CodecError, pack_fields, unpack_fields
from store.sealing import SealBroken, Sealer, decoded, encoded

ATTEMPT_KEPT_S = 600
COOKIE_PREFIX = f"{OWN_PREFIX}-login."
MAX_ATTEMPTS_KEPT = 4
MAX_ANSWER_FIELDS = 20
_STATE_CHARS_IN_NAME = 16


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to log in by one method of a tenant; `began_s` is Unix time."""

    method: str
    return_to: str
    began_s: float
    state: str
    nonce: str
    verifier: str

    @property
    def cookie(self) -> str:
        """The name of its cookie: each attempt has its own, as a person may log in twice at once."""
        return cookie_of(self.state)

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier: S256 (RFC 7636 section 4.2)."""
        return encoded(hashlib.sha256(self.verifier.encode("ascii")).digest())


def new_attempt(method: str, return_to: str, now_s: float) -> Attempt:
    """Begin an attempt, with 256 random bits in each of its secrets."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Attempt(method, return_to, now_s, state, nonce, verifier)


def cookie_of(state: str) -> str:
    """Name the cookie of the attempt with this state."""
    return COOKIE_PREFIX + state[:_STATE_CHARS_IN_NAME]


def seal(attempt: Attempt, sealer: Sealer, tenant: str) -> str:
    """Write an attempt as the content of its cookie."""
    return encoded(sealer.seal(pack_fields(asdict(attempt)), "login", tenant))


def find(cookies: Mapping[str, str], state: str, sealer: Sealer, tenant: str) -> Attempt:
    """Give the attempt that an answer is to; EdgeError `login_failed` when this browser began none such."""
    content = cookies.get(cookie_of(state))
    if content is None:
        raise refused("another browser began this login, or it is over")
    try:
        attempt = Attempt(**unpack_fields(sealer.open(decoded(content), "login", tenant).content))
    except (SealBroken, CodecError, TypeError) as error:
        raise refused("the login's cookie was not made here") from error
    if not hmac.compare_digest(attempt.state.encode(), state.encode("utf-8", "surrogateescape")):
        raise refused("the state is another one")
    return attempt


def superfluous(cookies: Mapping[str, str]) -> list[str]:
    """Name the cookies to forget when an attempt is added: of so many most were left behind by closed windows."""
    old = [name for name in cookies if name.startswith(COOKIE_PREFIX)]
    return old if len(old) >= MAX_ATTEMPTS_KEPT else []


def authorization_url(endpoint: str, attempt: Attempt, client_id: str, redirect_uri: str, scopes: Sequence[str]) -> str:
    """Write where the browser is sent (OpenID Connect Core section 3.1.2.1)."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
    }
    return with_query(endpoint, asked)


def with_query(url: str, fields: Mapping[str, str]) -> str:
    """Add fields to a URL, which may have some already."""
    return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"


def read_query(query: str) -> dict[str, str]:
    """Read a query in which each field stands once; EdgeError `login_failed` when one does not, or too many do."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_ANSWER_FIELDS)
    except ValueError as error:
        raise refused("more fields than an answer has") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise refused("a field stands twice")
    return fields


def code_in(answer: Mapping[str, str], attempt: Attempt, issuer: str, now_s: float, *, must_name_issuer: bool) -> str:
    """Give the code of a provider's answer to an attempt; EdgeError `login_failed` for any other answer.

    `iss` tells one provider's answer from another's (RFC 9207): it may not be wrong, and where the provider says that
    it sends it, not be left out.
    """
    if not 0 <= now_s - attempt.began_s < ATTEMPT_KEPT_S:
        raise refused("the login took too long")
    if answer.get("iss", "" if must_name_issuer else issuer) != issuer:
        raise refused("the answer is another provider's")
    if "error" in answer:
        raise refused(f"the provider says {answer['error'][:80]!r}")
    code = answer.get("code", "")
    if not code:
        raise refused("the answer has no code")
    return code


def refused(detail: str, **more: Any) -> EdgeError:
    """Make the error of a login that cannot be; `detail` is for the log."""
    return EdgeError("login_failed", detail, **more)
