"""Sessions that ended one by one, told to every worker that may have seen them. A hint: Redis is the truth.

A logout is no change of a tenant: no revision, no history, and nothing is forgotten but the one session. What is said
is its tenant and the digest of its id, of which the id cannot be learnt.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from store import keys
from store.client import Client
from store.feed import Feed


class SessionName(NamedTuple):
    """What a session can be told by where nobody may use it: its tenant, and the digest of its id."""

    tenant: str
    digest: str


def session_name(tenant: str, session_id: str) -> SessionName:
    """Name a session."""
    return SessionName(tenant, keys.digest(session_id))


class Heard(NamedTuple):
    """What was heard; `is_gap`: before it, something may not have been."""

    is_gap: bool
    ended: tuple[SessionName, ...]


class Endings:
    """Hears of sessions that end, by whichever worker, over a connection of its own."""

    def __init__(self, client: Client) -> None:
        self._feed = Feed(client, channel=keys.ended_sessions())

    async def heard(self) -> AsyncGenerator[Heard, None]:
        """Yield for ever, never raising on a lost Redis. The caller owes `aclosing`, or to be cancelled."""
        async with aclosing(self._feed.wake_ups()) as wake_ups:
            async for wake_up in wake_ups:
                ended = tuple(each for message in wake_up.messages if (each := read_ended(message)))
                yield Heard(wake_up.reason in ("start", "reconnect"), ended)


def said(name: SessionName) -> str:
    """Write what is published of a session that ends."""
    return f"{name.tenant} {name.digest}"


def read_ended(message: bytes) -> SessionName | None:
    """Read what was published, or None when it is something else."""
    tenant, _, digest = message.decode("utf-8", "replace").partition(" ")
    return SessionName(tenant, digest) if len(digest) == keys.DIGEST_CHARS else None
