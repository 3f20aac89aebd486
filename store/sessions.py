"""Browser sessions in Redis: sealed, expiring by Redis' clock, and revoked all at once.

A value is AES-GCM of msgpack, its tenant and its id as associated data (`sealing.py`), under a digest of the id.
Idleness is the key's own expiry, put off each time the session is read.

To revoke is to make a mark of a tenant, or of one of its subjects, another one: a session holds the marks of the moment
it began, and one that holds an older mark is none. So there is no list of sessions to keep or to search, no clock to
compare, and a login that is under way meanwhile is revoked too. A mark outlives every session that it is about.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from store import keys
from store.client import Client
from store.codec import CodecError, pack_fields, unpack_fields
from store.endings import said, session_name
from store.errors import StoreUnavailable
from store.model.parts import MAX_DURATION_S
from store.scripts import script
from store.sealing import SealBroken, Sealer

MAX_VALUE_BYTES = 32 * 1024
MARK_KEPT_S = MAX_DURATION_S + 3600  # longer than any session lives
ID_BYTES = 32


class Kept(NamedTuple):
    """A session as it is kept: whose it is, and what it holds."""

    subject: str
    data: dict[str, Any]


def new_session_id() -> str:
    """Make up a session's id: 256 bits from the system's random source."""
    return secrets.token_urlsafe(ID_BYTES)


class Revocations:
    """Ends sessions on the server's side. Raises StoreUnavailable and StoreRefused; safe to call again."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def revoke(self, tenant: str, subject: str | None = None) -> None:
        """End all sessions of a tenant that have begun, or those of one subject.

        A worker that has seen one a moment ago learns it with the tenant's next revision, or within a minute.
        """
        mark = secrets.token_hex(8)
        await self._client.ask(
            "SET", keys.session_mark(tenant, subject), mark, "PX", int(MARK_KEPT_S * 1000), is_write=True
        )


class Belief(Protocol):
    """Whether what Redis holds is to be believed: `fault` says why not, if that is known; `confirm` finds out.

    `confirm` raises StoreUnavailable when it is not, or nobody can tell.
    """

    def fault(self) -> str | None: ...

    async def confirm(self) -> None: ...


class Sessions:
    """Keeps sessions. Each method may raise StoreUnavailable and StoreRefused.

    `client` finds them for requests; what a login or logout writes goes by `patient`, as it cannot be done again.
    What Redis holds is not to be believed when it was emptied, say: then none is asked for or kept, and `belief` has to
    confirm that there is no such session.
    """

    def __init__(
        self,
        client: Client,
        sealer: Sealer,
        patient: Client | None = None,
        belief: Belief | None = None,
    ) -> None:
        self._client = client
        self._sealer = sealer
        self._patient = patient or client
        self._belief = belief

    async def put(self, tenant: str, session_id: str, kept: Kept, idle_s: float) -> None:
        """Keep a new session until nobody has read it for so long. Raises CodecError when it holds too much."""
        self._believe()
        marks = await self._marks(self._patient, tenant, kept.subject)
        packed = pack_fields({"marks": marks, "subject": kept.subject, "data": kept.data})
        if len(packed) > MAX_VALUE_BYTES:
            raise CodecError(f"a session of {len(packed)} bytes; at most {MAX_VALUE_BYTES} are kept")
        name = keys.session(tenant, session_id)
        sealed = self._sealer.seal(packed, "session", name)
        await self._patient.ask("SET", name, sealed, "PX", _ms(idle_s), is_write=True)

    async def get(self, tenant: str, session_id: str, idle_s: float) -> Kept | None:
        """Give a session, and let it live on for so long; None when it is over, revoked, or none of ours."""
        self._believe()
        name = keys.session(tenant, session_id)
        sealed = await self._client.ask("GETEX", name, "PX", _ms(idle_s))
        if sealed is None and self._belief is not None:
            await self._belief.confirm()
        found = None if sealed is None else self._opened(sealed, name)
        if found is None:
            return None
        kept = Kept(str(found["subject"]), dict(found["data"]))
        # The marks after the session: a revocation in between is seen.
        now = await self._marks(self._client, tenant, kept.subject)
        is_revoked = any(mark and mark != held for mark, held in zip(now, found["marks"], strict=True))
        return None if is_revoked else kept

    async def delete(self, tenant: str, session_id: str) -> None:
        """Forget a session, whether there is one or not; workers that listen hear of one that was (endings.py)."""
        self._believe()
        names, args = (
            [keys.session(tenant, session_id)],
            [keys.ended_sessions(), said(session_name(tenant, session_id))],
        )
        await self._patient.run(script("end_session"), names, args, is_write=True)

    async def use_login(self, tenant: str, state: str, kept_s: float) -> bool:
        """Say whether this is the first answer to a login, and note it for so long."""
        self._believe()
        reply = await self._patient.ask("SET", keys.login(tenant, state), "1", "PX", _ms(kept_s), "NX", is_write=True)
        return reply is not None

    def _believe(self) -> None:
        fault = None if self._belief is None else self._belief.fault()
        if fault is not None:
            raise StoreUnavailable(fault)

    @staticmethod
    async def _marks(client: Client, tenant: str, subject: str) -> list[str]:
        names = keys.session_mark(tenant), keys.session_mark(tenant, subject)
        return [str(mark or b"", "ascii") for mark in await client.ask("MGET", *names)]

    def _opened(self, sealed: bytes, name: str) -> Mapping[str, Any] | None:
        try:
            return unpack_fields(self._sealer.open(sealed, "session", name).content)
        except (SealBroken, CodecError):
            return None  # sealed by a key that is gone, or by somebody who had none: nobody's session


def _ms(seconds: float) -> int:
    return max(1, int(seconds * 1000))
