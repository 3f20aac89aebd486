"""What a provider says of itself, and what becomes of a code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from edge.client_edge.key_sets import KeySets, asking
from edge.client_edge.sessions.providers import (
    FRESH_S,
    PAUSE_S,
    STALE_S,
    Metadata,
    Provider,
    Providers,
    Redemption,
    RelyingParty,
    basic,
    read_metadata,
    redeem,
)
from edge.errors import EdgeError
from edge.outgoing import Outgoing
from edge.upstreams.egress import EgressFilter
from tests.fakes.openid import CLIENT_ID, CLIENT_SECRET, PUBLIC_CLIENT_ID, RunningProvider
from tests.fakes.places import ODD_SPELLINGS

ISSUER = "https://id.test/realm"
TOLD = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth?x=1",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
}


def read(**changed: Any) -> Metadata:
    told = {name: value for name, value in {**TOLD, **changed}.items() if value is not None}
    return read_metadata(json.dumps(told).encode(), ISSUER)


def test_a_description_is_read() -> None:
    assert read() == Metadata(f"{ISSUER}/auth?x=1", f"{ISSUER}/token", f"{ISSUER}/keys", None, "basic", False)
    whole = read(
        end_session_endpoint=f"{ISSUER}/end",
        token_endpoint_auth_methods_supported=["client_secret_post", "private_key_jwt"],
        authorization_response_iss_parameter_supported=True,
    )
    assert (whole.end_session_endpoint, whole.token_auth, whole.names_itself) == (f"{ISSUER}/end", "post", True)


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://id.test/realm/"},
        {"issuer": "https://evil.test"},
        {"issuer": None},
        {"authorization_endpoint": None},
        {"token_endpoint": "http://id.test/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": 5},
        {"jwks_uri": "https://id.test/keys#x"},
        {"end_session_endpoint": "javascript:alert(1)"},
    ],
)
def test_a_description_of_somebody_else_or_of_unsafe_places_is_none(changed: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"issuer|has no|expected|fragment|begins"):
        read(**changed)


@pytest.mark.parametrize("member", ["authorization_endpoint", "token_endpoint", "jwks_uri", "end_session_endpoint"])
@pytest.mark.parametrize(("host", "why"), ODD_SPELLINGS.items())
def test_a_description_that_names_an_address_in_another_spelling_is_none(member: str, host: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read(**{member: f"https://{host}:8443/"})


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{", b"[" * 100_000, b"\xff", b'{"issuer": "x"}'])
def test_what_is_no_description_is_none(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|object|issuer"):
        read_metadata(body, ISSUER)


@pytest.mark.parametrize(
    ("client_id", "secret", "pair"),
    [("a", "b", "YTpi"), ("a:b", "c d+%", "YSUzQWI6YyUyMGQlMkIlMjU=")],
)
def test_a_clients_credentials_are_written_so_that_no_colon_is_in_them(client_id: str, secret: str, pair: str) -> None:
    assert basic(client_id, secret) == f"Basic {pair}"


def test_no_repr_has_a_secret() -> None:
    assert "s3cret" not in repr(RelyingParty("i", "c", "s3cret"))
    assert "s3cret" not in repr(Redemption("s3cret", "s3cret", "/"))


class House:
    """A worker's providers, with a clock of the test's own."""

    def __init__(self, outgoing: Outgoing, key_sets: KeySets) -> None:
        self.now_s = 1000.0
        self.noted: list[str] = []
        self.outgoing = outgoing
        self.providers = Providers(outgoing, key_sets, lambda issuer, _: self.noted.append(issuer), lambda: self.now_s)

    def hold(self, issuer: str, owner: str = "acme") -> Provider:
        return self.providers.hold(owner, issuer)


@pytest_asyncio.fixture
async def house() -> AsyncIterator[House]:
    outgoing = Outgoing(EgressFilter(["127.0.0.0/8"]).allows)
    key_sets = KeySets(asking(outgoing))
    yield House(outgoing, key_sets)
    await key_sets.aclose()
    await outgoing.aclose()


async def test_a_description_is_asked_for_once_an_hour_by_however_many(house: House, provider: RunningProvider) -> None:
    held = house.hold(provider.issuer)
    for _ in range(3):
        assert len({id(each) for each in await asyncio.gather(*(held.metadata() for _ in range(10)))}) == 1
    assert (await provider.seen())["described"] == 1
    house.now_s += FRESH_S
    await held.metadata()
    assert (await provider.seen())["described"] == 2


async def test_the_last_description_goes_on_for_a_day_while_there_is_no_other(
    house: House, provider: RunningProvider
) -> None:
    held = house.hold(provider.issuer)
    first = await held.metadata()
    await provider.tell(status=503)
    house.now_s += STALE_S - 1
    assert await held.metadata() == first
    house.now_s += PAUSE_S
    with pytest.raises(EdgeError) as caught:
        await held.metadata()
    assert (caught.value.code, caught.value.retry_after_s) == ("auth_unavailable", PAUSE_S)
    await provider.tell()
    house.now_s += PAUSE_S
    assert await held.metadata() == first


async def test_a_provider_that_describes_another_one_is_noted_and_not_used(
    house: House, provider: RunningProvider
) -> None:
    wrong = provider.issuer.replace("127.0.0.1", "localhost")
    with pytest.raises(EdgeError):
        await house.hold(wrong).metadata()
    assert house.noted == [wrong]


async def test_a_waiter_whose_client_goes_takes_nobody_else_along(house: House, provider: RunningProvider) -> None:
    held = house.hold(provider.issuer)
    first, second = (asyncio.create_task(held.metadata()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).token_endpoint == f"{provider.issuer}/token"
    assert first.cancelled()


async def test_a_provider_is_held_once_for_each_owner_and_goes_with_its_last_holder(
    house: House, provider: RunningProvider
) -> None:
    mine, again, theirs = house.hold(provider.issuer), house.hold(provider.issuer), house.hold(provider.issuer, "other")
    assert mine is again
    assert mine is not theirs
    await mine.key_set()
    assert len(house.providers.key_sets) == 1
    mine.release()
    assert len(house.providers) == 2
    again.release()
    theirs.release()
    assert len(house.providers) == len(house.providers.key_sets) == 0
    with pytest.raises(EdgeError):
        await mine.key_set()  # by a login that was under way
    assert len(house.providers.key_sets) == 0


@pytest.mark.parametrize(
    ("party", "code"),
    [
        (("portico", CLIENT_SECRET), "login_failed"),
        ((PUBLIC_CLIENT_ID, None), "login_failed"),
        (("portico", "wrong"), "auth_unavailable"),
        (("nobody", None), "auth_unavailable"),
    ],
)
async def test_a_code_that_is_none_is_the_browsers_fault_and_a_wrong_secret_is_not(
    house: House, provider: RunningProvider, party: tuple[str, str | None], code: str
) -> None:
    metadata = await house.hold(provider.issuer).metadata()
    given = Redemption("made-up", "v" * 43, "http://shop.localhost/.portico/callback")
    with pytest.raises(EdgeError) as caught:
        await redeem(house.outgoing.of(""), metadata, RelyingParty(provider.issuer, *party), given)
    assert caught.value.code == code
    assert not [text for text in ("made-up", CLIENT_SECRET, "v" * 43) if text in str(caught.value)]
    assert CLIENT_ID == "portico"
