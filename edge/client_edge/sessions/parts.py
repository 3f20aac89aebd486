"""What sessions use of the worker they run in, and a tenant's method made of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge.client_edge.key_sets import KeySets
from edge.client_edge.sessions.known import KnownSessions
from edge.client_edge.sessions.method import Login
from edge.client_edge.sessions.providers import Providers, RelyingParty
from edge.client_edge.sessions.storage import RedisStorage
from edge.outgoing import Outgoing
from store.model import DocumentError, Fault, SessionAuth
from store.sealing import SealBroken, Sealer
from store.sessions import Kept, Sessions
from store.settings import Settings

ID_TOKEN = "id_token"  # noqa: S105 - its name
OPERATOR = ""

log = logging.getLogger("portico.edge")


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What a worker has for sessions; `operator` is the provider of tenants that name none. `now_s`: Unix time."""

    sealer: Sealer
    sessions: Sessions
    known: KnownSessions
    providers: Providers
    operator: RelyingParty | None
    now_s: Callable[[], float] = time.time


def session_parts(
    settings: Settings, sealed_by: Callable[[Sealer], Sessions], outgoing: Outgoing, key_sets: KeySets
) -> SessionParts | None:
    """Put together what sessions need; None without a secret key, as nothing can be kept then."""
    if not settings.secret_keys:
        return None
    sealer = Sealer(settings.secret_keys)
    sessions = sealed_by(sealer)

    async def brief(tenant: str, session_id: str, idle_s: float) -> Kept | None:
        kept = await sessions.get(tenant, session_id, idle_s)
        if kept is not None:
            kept.data.pop(ID_TOKEN, None)  # most of a session's bytes, and only a logout asks for it
        return kept

    def note(issuer: str, error: Exception) -> None:
        log.warning("the OpenID provider %s cannot be used: %s", issuer, error)

    operator = None
    if settings.oidc_issuer:
        operator = RelyingParty(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret or None)
    return SessionParts(sealer, sessions, KnownSessions(brief), Providers(outgoing, key_sets, note), operator)


def login_of(tenant: str, name: str, declared: SessionAuth, parts: SessionParts | None) -> Login:
    """Make a tenant's method; DocumentError when this worker cannot serve it. It owes `provider.release()`."""
    if parts is None:
        raise _unusable(name, "sessions need PORTICO_SECRET_KEY, which this edge was started without")
    party = _party(tenant, name, declared, parts)
    provider = parts.providers.hold(OPERATOR if declared.issuer is None else tenant, party.issuer)
    storage = RedisStorage(tenant, name, declared.idle_timeout_s, parts.sessions, parts.known)
    return Login(tenant, name, declared, party, provider, storage)


def _party(tenant: str, name: str, declared: SessionAuth, parts: SessionParts) -> RelyingParty:
    if declared.issuer is None:
        if parts.operator is None:
            raise _unusable(name, "it names no provider, and this edge was started without PORTICO_OIDC_ISSUER")
        return parts.operator
    secret = declared.client_secret
    if secret is not None:
        try:
            secret, _ = parts.sealer.open_text(secret, tenant)
        except SealBroken:
            raise _unusable(
                f"{name}.client_secret", "is not sealed, or for another tenant, or by a key that this edge has not"
            ) from None
    return RelyingParty(declared.issuer, declared.client_id or "", secret)


def _unusable(name: str, why: str) -> DocumentError:
    return DocumentError([Fault(f"auth.{name}", why)])
