"""Tokens of a real issuer: whose open a route, and what a refusal says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.errors import EdgeError
from tests.fakes.doors import Door, open_door
from tests.fakes.issuers import running_issuer, signing_key


@pytest_asyncio.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as made:
        yield made


async def test_a_token_tells_who_calls_and_what_its_issuer_claims(door: Door) -> None:
    ctx = door.context(door.issuer.token(sub="u7", plan="gold", scope="read write"))
    who = await door.check(ctx)
    assert (who.subject, who.kind, who.key_id, who.scopes) == ("u7", "jwt", None, ("read", "write"))
    assert who.claims is not None
    assert (who.claims["plan"], who.claim("plan"), who.claim("team")) == ("gold", "gold", None)
    assert ctx.request.headers["X-Portico-Subject"] == "u7"


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"])
async def test_a_token_of_each_declared_algorithm_opens_the_door(door: Door, algorithm: str) -> None:
    door.issuer.keys = [signing_key("k1", algorithm)]
    assert await door.opens(door.issuer.token(), door.make(algorithms=[algorithm]))
    await door.is_wrong(door.issuer.token(), door.make(algorithms=["PS384"]))


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def hmac_signed(claims: dict[str, Any], secret: bytes) -> str:
    header = {"alg": "HS256", "kid": "k1", "typ": "JWT"}
    unfinished = unsigned(header, claims).removesuffix(".")
    signature = hmac.new(secret, unfinished.encode(), hashlib.sha256).digest()
    return unsigned(header, claims, signature)


async def test_a_token_that_nobody_has_signed_opens_nothing(door: Door) -> None:
    for algorithm in ("none", "None", "NONE", ""):
        await door.is_wrong(unsigned({"alg": algorithm}, door.issuer.claims()))
        await door.is_wrong(unsigned({"alg": algorithm}, door.issuer.claims(), b"sig"))
    await door.is_wrong(unsigned({"alg": "RS256", "kid": "k1"}, door.issuer.claims(), b"sig"))
    assert door.issuer.fetches == 1


async def test_the_public_key_is_no_secret_to_sign_with(door: Door) -> None:
    public = door.issuer.keys[0].private.public_key()
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(door.issuer.keys[0].public_jwk()).encode(),
        b"",
    ]
    for secret in secrets:
        await door.is_wrong(hmac_signed(door.issuer.claims(), secret))


async def test_a_symmetric_key_in_the_set_signs_nothing(door: Door) -> None:
    secret = b"s" * 32
    jwks = [{"kty": "oct", "kid": "k1", "k": base64.urlsafe_b64encode(secret).decode().rstrip("=")}]
    jwks.append(signing_key("k2").public_jwk())
    door.issuer.lie = json.dumps({"keys": jwks}).encode()
    await door.is_wrong(hmac_signed(door.issuer.claims(), secret))


async def test_a_token_that_brings_or_names_a_key_of_its_own_opens_nothing(door: Door) -> None:
    own = signing_key("mine")
    for header in (
        {"jwk": own.public_jwk()},
        {"jku": door.issuer.jwks_url},
        {"x5u": door.issuer.jwks_url},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
    ):
        await door.is_wrong(own.sign(door.issuer.claims(), **header))
        await door.is_wrong(door.issuer.token(header))  # well signed, and refused all the same
    assert door.issuer.fetches == 0


@pytest.mark.parametrize(
    "kid", ["../../../etc/passwd", "/dev/null", "k1' OR '1'='1", "k1\x00", "http://evil.test/", "K1"]
)
async def test_a_kid_is_nothing_but_a_name(door: Door, kid: str) -> None:
    await door.is_wrong(door.issuer.token({"kid": kid}))
    assert await door.opens(door.issuer.token())


async def test_a_token_of_another_key_or_changed_afterwards_opens_nothing(door: Door) -> None:
    good = door.issuer.token()
    header, claims, signature = good.split(".")
    assert await door.opens(good)
    await door.is_wrong(signing_key("other").sign(door.issuer.claims(), kid="k1"))
    other = door.issuer.token(sub="admin").split(".")[1]
    await door.is_wrong(f"{header}.{other}.{signature}")
    await door.is_wrong(f"{header}.{claims}.{signature[:-4]}AAAA")


@pytest.mark.parametrize(
    ("claims", "is_good"),
    [
        ({"exp": -59}, True),
        ({"exp": -61}, False),
        ({"exp": None}, False),
        ({"nbf": 59}, True),
        ({"nbf": 61}, False),
        ({"aud": "other"}, False),
        ({"aud": ["other", "shop"]}, True),
        ({"iss": "https://other.test/"}, False),
        ({"sub": None}, False),
    ],
)
async def test_well_signed_claims_are_judged_too(door: Door, claims: dict[str, Any], is_good: bool) -> None:
    now_s = int(door.clock.now_s)
    times = {name: now_s + value if name in ("exp", "nbf") and value else value for name, value in claims.items()}
    token = door.issuer.token(**times)
    if is_good:
        assert await door.opens(token)
    else:
        await door.is_wrong(token)


async def test_without_a_token_the_answer_says_how_to_come_back(door: Door) -> None:
    error = await door.refusal(None)
    assert (error.status, dict(error.headers)) == (401, {"WWW-Authenticate": 'Bearer realm="portico"'})
    assert door.issuer.fetches == 0


@pytest.mark.parametrize("keep", [False, True])
async def test_the_token_stays_at_the_edge_unless_the_route_keeps_it(door: Door, keep: bool) -> None:
    ctx = door.context(door.issuer.token())
    await door.check(ctx, keep=keep)
    assert ("Authorization" in ctx.request.headers) is keep


async def test_credentials_of_another_scheme_are_left_alone(door: Door) -> None:
    ctx = door.context(None, ("Authorization", "Basic dTpw"))
    with pytest.raises(EdgeError) as caught:
        await door.check(ctx)
    assert dict(caught.value.headers) == {"WWW-Authenticate": 'Bearer realm="portico"'}
    assert ctx.request.headers["Authorization"] == "Basic dTpw"


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer   "])
async def test_the_schemes_case_and_the_spaces_after_it_do_not_matter(door: Door, scheme: str) -> None:
    assert await door.check(door.context(None, ("Authorization", f"{scheme}{door.issuer.token()}")))


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\u2028"])
async def test_what_only_looks_like_a_space_is_part_of_the_token(door: Door, blank: str) -> None:
    await door.is_wrong(f"{door.issuer.token()}{blank}")
    await door.is_wrong(f"{blank}{door.issuer.token()}")


async def test_of_two_tokens_nobody_can_tell_which_is_meant(door: Door) -> None:
    good = ("Authorization", f"Bearer {door.issuer.token()}")
    ctx = door.context(None, good, good)
    with pytest.raises(EdgeError, match="unauthorized"):
        await door.check(ctx)
    assert "Authorization" not in ctx.request.headers


@pytest.mark.parametrize("prefix", ["", "Bearer "])
async def test_a_token_may_have_a_header_of_its_own(door: Door, prefix: str) -> None:
    method = door.make(header="X-Token")
    ctx = door.context("elsewhere", ("x-token", prefix + door.issuer.token()))
    assert await door.check(ctx, method)
    assert "X-Token" not in ctx.request.headers
    assert ctx.request.headers["Authorization"] == "Bearer elsewhere"


async def test_two_issuers_share_one_header(door: Door) -> None:
    async with running_issuer(door.clock) as second:
        second.rotate(keep=False)
        methods = (door.method, door.make(issuer=second))
        assert (await door.opens(second.token(sub="b"), *methods)).subject == "b"
        assert door.issuer.fetches == 0  # the token is not its, so it is not asked
        assert (await door.opens(door.issuer.token(sub="a"), *methods)).subject == "a"
        await door.is_wrong(second.token(iss=door.issuer.name), *methods)
        await second.stop()
        assert (await door.opens(door.issuer.token(sub="a"), *methods)).subject == "a"


async def test_no_refusal_repeats_the_token(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    token = door.issuer.token(aud="other")
    errors = [await door.refusal(token)]
    await door.issuer.stop()
    errors.append(await door.refusal(door.issuer.token()))
    for error in errors:
        cause: BaseException | None = error
        while cause is not None:
            assert not any(part in repr(cause) + str(cause) for part in token.split("."))
            cause = cause.__cause__ or cause.__context__
    assert token.split(".")[1] not in caplog.text
