"""OpenID providers: what they say of themselves (discovery), and a code changed into an identity token.

A provider's description is fetched when somebody first logs in there, anew after an hour, and goes on for a day while
it cannot be had: EdgeError `auth_unavailable` after that, and where there never was one. Who is logged in already
needs none of it.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from edge.client_edge.key_sets import KeySet, KeySets
from edge.client_edge.sessions.attempts import refused
from edge.errors import EdgeError
from edge.outgoing import AUTH_UNAVAILABLE, Asker, Outgoing
from store.model.services import check_service_url

FRESH_S = 3600.0
STALE_S = 86_400.0
PAUSE_S = 5.0
MAX_CODE_SHOWN = 80
WELL_KNOWN = "/.well-known/openid-configuration"
_ACCEPT = {"Accept": "application/json", "Accept-Encoding": "identity"}
_FORM = {**_ACCEPT, "Content-Type": "application/x-www-form-urlencoded"}
_ASKED_AGAIN = frozenset({"invalid_grant", "access_denied"})


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who we are to a provider; a public client has no secret."""

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)


class Metadata(NamedTuple):
    """What a provider says of itself (OpenID Connect Discovery section 3)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None
    token_auth: Literal["basic", "post"]
    names_itself: bool
    """Whether its answers say `iss` (RFC 9207)."""


def read_metadata(body: bytes, issuer: str) -> Metadata:
    """Read a provider's description; ValueError when it is none, or another provider's."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(told, dict):
        raise ValueError("not an object")
    if told.get("issuer") != issuer:
        raise ValueError("it is the description of another issuer")
    ways = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    is_basic = not isinstance(ways, list) or "client_secret_basic" in ways or "client_secret_post" not in ways
    end = told.get("end_session_endpoint")
    return Metadata(
        _endpoint(told, "authorization_endpoint"),
        _endpoint(told, "token_endpoint"),
        _endpoint(told, "jwks_uri"),
        None if end is None else _endpoint(told, "end_session_endpoint"),
        "basic" if is_basic else "post",
        told.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(told: Mapping[str, Any], name: str) -> str:
    url = told.get(name)
    if not isinstance(url, str):
        raise ValueError(f"it has no {name}")
    try:
        return check_service_url(url)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


class Provider:
    """One provider, as one owner asks it; whoever holds it owes `release()`."""

    def __init__(self, name: tuple[str, str], providers: Providers) -> None:
        self.name = name
        self.holders = 0
        self._providers = providers
        self._metadata: Metadata | None = None
        self._fetched_s = -math.inf
        self._asked_s = -math.inf
        self._fetch: asyncio.Task[None] | None = None
        self._keys: tuple[str, KeySet] | None = None
        self._is_over = False

    async def metadata(self) -> Metadata:
        """Give the description; EdgeError `auth_unavailable` when there is none that may still be used."""
        now_s = self._providers.now_s()
        age_s = now_s - self._fetched_s
        if age_s >= FRESH_S and (self._fetch is not None or now_s - self._asked_s >= PAUSE_S):
            if self._fetch is None:
                self._asked_s = now_s
                self._fetch = asyncio.create_task(self._ask())
            await asyncio.wait({self._fetch})  # it has a deadline, and goes on if this request's client goes
        if self._metadata is None or self._providers.now_s() - self._fetched_s >= STALE_S:
            raise EdgeError(AUTH_UNAVAILABLE, f"the description of {self.name[1]}", retry_after_s=PAUSE_S)
        return self._metadata

    @property
    def asker(self) -> Asker:
        """What asks the services of its owner."""
        return self._providers.outgoing.of(self.name[0])

    async def key_set(self) -> KeySet:
        """Give the keys that it signs by; EdgeError as `metadata`, and once the last holder has let go."""
        url = (await self.metadata()).jwks_uri
        if self._is_over:  # while somebody was logging in; the next attempt meets the new document
            raise EdgeError(AUTH_UNAVAILABLE, "the tenant's document has changed meanwhile")
        if self._keys is None or self._keys[0] != url:
            held = self._providers.key_sets.hold(self.name[0], url)
            self._drop_keys()
            self._keys = url, held
        return self._keys[1]

    def release(self) -> None:
        """Give it back."""
        self._providers.release(self)

    def end(self) -> None:
        """Give back what it holds itself; a fetch under way ends in its own time."""
        self._is_over = True
        self._drop_keys()

    def _drop_keys(self) -> None:
        held, self._keys = self._keys, None
        if held is not None:
            held[1].release()

    async def _ask(self) -> None:
        issuer = self.name[1]
        try:
            answer = await self.asker.ask("GET", issuer.rstrip("/") + WELL_KNOWN, _ACCEPT)
            if answer.status == 200:
                self._metadata = read_metadata(answer.body, issuer)
                self._fetched_s = self._providers.now_s()
        except (EdgeError, ValueError) as error:
            self._providers.note(issuer, error)
        finally:
            self._fetch = None


class Providers:
    """The providers of a worker, those of each owner apart: a tenant's, or the operator's, whose owner is ""."""

    def __init__(
        self,
        outgoing: Outgoing,
        key_sets: KeySets,
        note: Callable[[str, Exception], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`note` is told of a provider that does not describe itself."""
        self.outgoing = outgoing
        self.key_sets = key_sets
        self.note = note
        self.now_s = now_s
        self._held: dict[tuple[str, str], Provider] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, owner: str, issuer: str) -> Provider:
        """Give an owner's provider, the same one to all who hold it; nothing is fetched yet."""
        name = (owner, issuer)
        held = self._held.get(name)
        if held is None:
            held = self._held[name] = Provider(name, self)
        held.holders += 1
        return held

    def release(self, held: Provider) -> None:
        """Let go of a provider; with its last holder it goes."""
        held.holders -= 1
        if not held.holders:
            del self._held[held.name]
            held.end()


@dataclass(frozen=True, slots=True)
class Redemption:
    """A code, and what proves that it is ours (RFC 6749 section 4.1.3, RFC 7636 section 4.5)."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str


async def redeem(asker: Asker, metadata: Metadata, party: RelyingParty, given: Redemption) -> str:
    """Change a code into an identity token; EdgeError `login_failed` or `auth_unavailable` when there is none for it.

    The token is not believed yet.
    """
    data = {
        "grant_type": "authorization_code",
        "code": given.code,
        "redirect_uri": given.redirect_uri,
        "code_verifier": given.verifier,
    }
    fields = dict(_FORM)
    if party.client_secret is None:
        data["client_id"] = party.client_id
    elif metadata.token_auth == "post":  # noqa: S105 - the way, not the secret
        data |= {"client_id": party.client_id, "client_secret": party.client_secret}
    else:
        fields["Authorization"] = basic(party.client_id, party.client_secret)
    answer = await asker.ask("POST", metadata.token_endpoint, fields, data)
    told = _told(answer.body)
    if answer.status == 200 and isinstance(told.get("id_token"), str):
        return str(told["id_token"])
    code = str(told.get("error", ""))[:MAX_CODE_SHOWN]
    if answer.status == 400 and code in _ASKED_AGAIN:
        raise refused(f"the provider refuses the code: {code}")
    raise EdgeError(AUTH_UNAVAILABLE, f"{party.issuer} answers {answer.status} to a code: {code!r}")


def basic(client_id: str, client_secret: str) -> str:
    """Write a client's credentials (RFC 6749 section 2.3.1): each part as in a form, so that no colon is in them."""
    pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"  # a space as %20, which all of them read
    return "Basic " + b64encode(pair.encode()).decode()


def _told(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
