"""Names and passwords as a way to show who calls: the Basic scheme (RFC 7617), in UTF-8."""

from __future__ import annotations

import binascii
import os
import re
from base64 import b64decode
from hashlib import blake2b
from typing import NamedTuple
from unicodedata import normalize

from edge.client_edge.auth import AuthMethod
from edge.client_edge.passwords import Attempt, PasswordChecks
from edge.context import Identity, ProxyContext
from edge.message import ProxyRequest
from store.model import BasicAuth

MAX_CREDENTIAL_CHARS = 4096
_CREDENTIAL = re.compile(r"(?i:basic) +([A-Za-z0-9+/]*=*) *")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Shown(NamedTuple):
    """What a client has shown, and the hash that it is held against: somebody else's when nobody has this name."""

    attempt: Attempt
    is_known: bool


class BasicMethod(AuthMethod):
    """Knows a tenant's callers by names and passwords that its document has the hashes of."""

    def __init__(self, tenant: str, declared: BasicAuth, checks: PasswordChecks) -> None:
        self._tenant = tenant
        self._hashes = {normalize("NFC", name): kept for name, kept in declared.users.items()}
        self._decoys = tuple(declared.users.values())
        self._secret = os.urandom(32)
        self._checks = checks
        realm = declared.realm.replace("\\", "\\\\").replace('"', '\\"')
        self.challenge = f'Basic realm="{realm}", charset="UTF-8"'

    def shown(self, request: ProxyRequest, *, keep: bool) -> Shown | str | None:
        """Give the credential, or "" for one that cannot be read."""
        for field in request.in_req.headers.getall("Authorization", ()):
            if field[:6].lower() in ("basic", "basic "):
                if not keep:
                    request.remove_field("Authorization")
                pair = read_credential(field)
                return "" if pair is None else self._attempt(*pair)
        return None

    def known(self, ctx: ProxyContext, shown: Shown | str) -> Identity | None:  # noqa: ARG002 - it is all in what is shown
        """Say who calls with what was right a moment ago."""
        if isinstance(shown, str) or not shown.is_known or not self._checks.knows(shown.attempt):
            return None
        return Identity(shown.attempt.name, kind="basic")

    async def judge(self, ctx: ProxyContext, shown: Shown | str) -> Identity | None:  # noqa: ARG002 - the same
        """Say who calls; EdgeError `overloaded` when too many passwords of the tenant wait to be checked."""
        if isinstance(shown, str):
            return None
        is_right = await self._checks.is_right(shown.attempt)
        return Identity(shown.attempt.name, kind="basic") if is_right and shown.is_known else None

    def _attempt(self, name: str, password: str) -> Shown:
        """Hold a name that nobody has against the hash of somebody, the same one each time: so it takes as long."""
        kept = self._hashes.get(name)
        if kept is not None:
            return Shown(Attempt(self._tenant, name, password, kept), is_known=True)
        number = int.from_bytes(blake2b(name.encode(), key=self._secret, digest_size=4).digest(), "big")
        decoy = self._decoys[number % len(self._decoys)]
        return Shown(Attempt(self._tenant, name, password, decoy), is_known=False)


def read_credential(field: str) -> tuple[str, str] | None:
    """Read name and password; None for what RFC 7617 section 2 does not allow. The first colon parts the two."""
    found = _CREDENTIAL.fullmatch(field) if len(field) <= MAX_CREDENTIAL_CHARS else None
    if found is None:
        return None
    try:
        text = normalize("NFC", b64decode(found[1], validate=True).decode("utf-8"))
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = text.partition(":")
    if not colon or not name or _CONTROL.search(text) is not None:
        return None
    return name, password
