"""The bootstrap token, and what a token tells."""

from __future__ import annotations

import pytest

from store.catalog import Catalog
from store.secrets import TokenRecord, new_token, parse_token
from tenants.actors import NOBODY, Actor, require_operator, require_reach
from tenants.errors import FORBIDDEN, NOT_FOUND, UNAUTHENTICATED, Refused
from tenants.tokens import Tokens

LONG = "x" * 24


async def test_the_bootstrap_token_is_an_operators_and_asks_no_store(catalog: Catalog) -> None:
    tokens = Tokens(catalog, lambda: 0, LONG)
    assert await tokens.authenticate(LONG) == Actor("operator", "bootstrap")
    assert await catalog.list_tokens() == []


@pytest.mark.parametrize("text", ["", "x", "x" * 23, "x" * 25, LONG + "\n", "pt_" + "0" * 40, "\ud800", "x" * 100_000])
async def test_nothing_else_is_taken_for_it(catalog: Catalog, text: str) -> None:
    for bootstrap in (LONG, "", None):
        with pytest.raises(Refused) as refused:
            await Tokens(catalog, lambda: 0, bootstrap).authenticate(text)
        assert refused.value.kind == UNAUTHENTICATED


async def test_a_known_id_with_another_secret_is_not_the_token(catalog: Catalog) -> None:
    kept, forged = new_token(), new_token()
    await catalog.put_token(TokenRecord(forged.id, "of acme", kept.hash, "tenant", "acme", 0))
    assert parse_token(forged.text) is not None  # form and checksum are right, and the id is known
    with pytest.raises(Refused) as refused:
        await Tokens(catalog, lambda: 0).authenticate(forged.text)
    assert refused.value.kind == UNAUTHENTICATED


def test_a_short_bootstrap_token_is_refused_and_not_repeated(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="fewer than 24") as refused:
        Tokens(catalog, lambda: 0, "only-twenty-three-chars")
    assert "only-twenty" not in str(refused.value)


def test_a_tenants_reach_is_its_own_tenant() -> None:
    beta = Actor("tenant", "id", "beta")
    require_reach(beta, "beta")
    for actor, tenant in ((beta, "acme"), (NOBODY, "acme"), (NOBODY, ""), (NOBODY, "-")):
        with pytest.raises(Refused) as refused:
            require_reach(actor, tenant)
        assert refused.value.kind == NOT_FOUND
    with pytest.raises(Refused) as refused:
        require_operator(beta, "do this")
    assert refused.value.kind == FORBIDDEN
