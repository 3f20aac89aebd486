"""Names and passwords: what RFC 7617 says a client sends, who is let in, and what a refusal tells."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from multidict import CIMultiDict

from edge.client_edge.auth import require_any
from edge.client_edge.basic import BasicMethod, read_credential
from edge.client_edge.passwords import PasswordChecks, verify
from edge.context import ProxyContext
from edge.errors import EdgeError
from edge.message import ProxyRequest
from store.model import BasicAuth
from tests.fakes.requests import incoming

HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
USERS = {"ann": HASHER.hash("pass:word"), "jos\u00e9": HASHER.hash("\u00e9t\u00e9")}


class Counted:
    """Checks by argon2, and counts them."""

    def __init__(self) -> None:
        self.hashes: list[str] = []
        self.checks = PasswordChecks(self._verify)

    def _verify(self, password_hash: str, password: str) -> bool:
        self.hashes.append(password_hash)
        return verify(password_hash, password)


@pytest.fixture
def counted() -> Iterator[Counted]:
    made = Counted()
    yield made
    made.checks.close()


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


async def check(counted: Counted, *fields: str, realm: str = "Acme", keep: bool = False) -> ProxyContext:
    declared = BasicAuth.model_validate({"type": "basic", "users": USERS, "realm": realm})
    request = incoming(headers=[("Host", "shop.test"), *(("Authorization", field) for field in fields)])
    ctx = ProxyContext().copy_for(ProxyRequest(request, "/", "", CIMultiDict(request.headers)))
    waiting = require_any([BasicMethod("acme", declared, counted.checks)], keep_credentials=keep)(ctx)
    if waiting is not None:
        await waiting
    return ctx


async def test_a_name_and_its_password_tell_who_calls(counted: Counted) -> None:
    ctx = await check(counted, basic("ann", "pass:word"))
    assert ctx.identity is not None
    assert (ctx.identity.subject, ctx.identity.kind, ctx.identity.key_id) == ("ann", "basic", None)
    assert ctx.request.headers["X-Portico-Subject"] == "ann"
    assert "Authorization" not in ctx.request.headers


async def test_a_second_request_costs_no_second_check(counted: Counted) -> None:
    for _ in range(3):
        assert (await check(counted, basic("ann", "pass:word"))).identity
    assert counted.hashes == [USERS["ann"]]


async def test_other_letters_than_asciis_are_utf_8_in_one_normal_form(counted: Counted) -> None:
    ctx = await check(counted, basic("jose\u0301", "e\u0301te\u0301"))
    assert ctx.identity is not None
    assert ctx.identity.subject == "jos\u00e9"
    assert ctx.request.headers["X-Portico-Subject"] == "jos%C3%A9"


async def test_a_route_may_keep_the_credential(counted: Counted) -> None:
    field = basic("ann", "pass:word")
    assert (await check(counted, field, keep=True)).request.headers["Authorization"] == field


async def test_every_wrong_credential_gets_the_same_401_with_realm_and_charset(counted: Counted) -> None:
    wrong = [
        basic("ann", "wrong"), basic("bob", "pass:word"), basic("ann", ""), basic("", "pass:word"), "Basic", "basic ",
        "Basic " + b64encode(b"ann").decode(), "Basic " + b64encode(b"\xff\xfe:x").decode(), "Basic !!!", "Basic YW5",
        "Basic YW5u YW5u", basic("ann", "a\x07b"), basic("ann", "pass:word") + "=", basic("ann", "x" * 10_000),
    ]  # fmt: skip
    seen = set()
    for field in wrong:
        with pytest.raises(EdgeError) as caught:
            await check(counted, field)
        seen.add((caught.value.status, caught.value.headers, caught.value.detail))
    assert seen == {(401, (("WWW-Authenticate", 'Basic realm="Acme", charset="UTF-8"'),), "")}


async def test_a_name_that_nobody_has_is_checked_as_one_that_somebody_has(counted: Counted) -> None:
    for name in ("ann", "nobody", "nobody"):
        with pytest.raises(EdgeError):
            await check(counted, basic(name, "guess"))
    assert len(counted.hashes) == 3
    assert set(counted.hashes) <= set(USERS.values())


async def test_a_name_that_nobody_has_is_let_in_by_nobodys_password(counted: Counted) -> None:
    for _ in range(2):  # the second time the decoy's right password is remembered
        for password in ("pass:word", "\u00e9t\u00e9"):
            with pytest.raises(EdgeError) as caught:
                await check(counted, basic("nobody", password))
            assert caught.value.status == 401


async def test_another_scheme_is_not_looked_at_and_stays(counted: Counted) -> None:
    with pytest.raises(EdgeError):
        await check(counted, "Bearer abc", "Basically abc")
    assert not counted.hashes
    assert (await check(counted, "Bearer abc", basic("ann", "pass:word"))).identity


async def test_a_realm_is_quoted(counted: Counted) -> None:
    with pytest.raises(EdgeError) as caught:
        await check(counted, realm='the "back\\office"')
    assert dict(caught.value.headers)["WWW-Authenticate"] == r'Basic realm="the \"back\\office\"", charset="UTF-8"'


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("ann:", ("ann", "")),
        ("ann:a:b:", ("ann", "a:b:")),
        ("ann: ", ("ann", " ")),
        (":secret", None),
        ("ann", None),
        ("", None),
    ],
)
def test_the_first_colon_parts_name_and_password(pair: str, expected: tuple[str, str] | None) -> None:
    encoded = b64encode(pair.encode()).decode()
    assert read_credential(f"Basic {encoded}") == expected
    assert read_credential(f"bAsIc   {encoded} ") == expected
