"""What a route changes in the header of its requests: texts, and what is claimed of the caller."""

from __future__ import annotations

from typing import Any

import pytest
from multidict import CIMultiDict

from edge.context import Identity, ProxyContext, ProxyRequest
from edge.target_edge import change_request
from store.model import RequestHeaderOps
from tests.fakes.requests import incoming


def changed(
    ops: dict[str, Any], *fields: tuple[str, str], claims: dict[str, Any] | None = None, is_known: bool = True
) -> CIMultiDict[str]:
    """Give the fields that a target gets of a request with these."""
    request = incoming(headers=[("Host", "shop.test"), *fields])
    ctx = ProxyContext().copy_for(ProxyRequest(request, "/", "", CIMultiDict(request.headers)))
    if is_known:
        ctx.identity = Identity("u1", claims=claims)
    change_request(RequestHeaderOps.model_validate(ops))(ctx)
    headers = ctx.request.headers
    for name in ("Host", "X-Portico-Subject"):
        headers.popall(name, None)
    return headers


PLAN = {"set": {"X-Plan": {"claim": "plan"}}}


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("gold", "gold"),
        ("", ""),
        (7, "7"),
        (True, "true"),
        (["a", "b"], '["a","b"]'),
        ({"b": 1, "a": "é"}, '{"a":"%C3%A9","b":1}'),
        ("gold\r\nX-Admin: 1", "gold%0D%0AX-Admin: 1"),
        ("a\x00b", "a%00b"),
        ("x" * 4096, "x" * 4096),
    ],
)
def test_a_field_is_set_to_what_is_claimed_of_the_caller(claim: Any, value: str) -> None:
    assert list(changed(PLAN, claims={"plan": claim}).items()) == [("X-Plan", value)]


@pytest.mark.parametrize(
    "claims", [None, {}, {"plan": None}, {"Plan": "gold"}, {"plan": "x" * 4097}, {"plan": "é" * 700}]
)
def test_without_a_claim_that_fits_there_is_no_field(claims: dict[str, Any] | None) -> None:
    assert list(changed(PLAN, claims=claims)) == []


@pytest.mark.parametrize("claims", [{"plan": "gold"}, {}, None])
@pytest.mark.parametrize("name", ["X-Plan", "x-plan", "X_Plan", "x_PLAN"])
def test_what_the_client_says_in_the_name_of_a_claim_never_arrives(claims: dict[str, Any] | None, name: str) -> None:
    headers = changed(PLAN, (name, "free"), (name, "again"), ("X-Planet", "earth"), claims=claims)
    told = [("X-Plan", "gold")] if claims else []
    assert list(headers.items()) == [("X-Planet", "earth"), *told]


def test_nor_does_it_where_nobody_is_known_to_call() -> None:
    assert list(changed(PLAN, ("X-Plan", "gold"), is_known=False)) == []


def test_texts_and_claims_stand_side_by_side() -> None:
    ops = {"set": {"X-Env": "prod", **PLAN["set"]}, "remove": ["Cookie"]}
    headers = changed(ops, ("Cookie", "a=b"), ("X-Env", "dev"), claims={"plan": "gold"})
    assert dict(headers) == {"X-Env": "prod", "X-Plan": "gold"}
