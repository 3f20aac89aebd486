"""Secrets of documents on their way in: sealed once, recognised again, never another tenant's."""

from __future__ import annotations

from typing import Any

import pytest

from store.model import DocumentError, SessionAuth, parse_document
from store.sealing import Sealer, is_sealed
from tenants.sealing import BROKEN, NO_KEY, seal_secrets

OLD, NEW = Sealer([b"o" * 32]), Sealer([b"n" * 32, b"o" * 32])
NEW_ALONE = Sealer([b"n" * 32])
SECRET = "s3cret of acme"


def raw(secret: str | None, tenant: str = "acme") -> dict[str, Any]:
    own = {"issuer": "https://id.acme.com/", "client_id": "shop"}
    given = {} if secret is None else {"client_secret": secret}
    return {"tenant": tenant, "auth": {"login": {"type": "session", **own, **given}, "keys": {"type": "api_key"}}}


def sealed(secret: str | None, before: str | None = None, sealer: Sealer | None = OLD, tenant: str = "acme") -> str:
    document = seal_secrets(parse_document(raw(secret, tenant)), raw(before) if before else {}, sealer)
    method = document.auth["login"]
    assert isinstance(method, SessionAuth)
    return method.client_secret or ""


def refusal(secret: str, sealer: Sealer | None, tenant: str = "acme", before: str | None = None) -> list[str]:
    with pytest.raises(DocumentError) as caught:
        sealed(secret, before, sealer, tenant)
    assert secret not in str(caught.value)
    return [str(fault) for fault in caught.value.faults]


def test_a_secret_is_sealed_when_it_is_written() -> None:
    kept = sealed(SECRET)
    assert is_sealed(kept)
    assert OLD.open_text(kept, "acme") == (SECRET, True)


@pytest.mark.parametrize("secret", ["x" * 1024, "\N{GRINNING FACE}" * 1024])
def test_the_longest_secret_is_one_that_can_be_read_again(secret: str) -> None:
    kept = sealed(secret)
    assert sealed(kept, before=kept) == kept
    assert OLD.open_text(kept, "acme") == (secret, True)


def test_what_has_no_secret_stays_as_it_is() -> None:
    document = parse_document(raw(None))
    assert seal_secrets(document, {}, None) is document


def test_the_same_secret_again_or_as_it_was_exported_changes_nothing() -> None:
    kept = sealed(SECRET)
    assert sealed(SECRET, before=kept) == kept
    assert sealed(kept, before=kept) == kept
    assert sealed(kept) == kept
    assert sealed("another", before=kept) != kept


def test_a_sealed_secret_is_worth_nothing_in_another_tenants_document() -> None:
    assert refusal(sealed(SECRET), OLD, tenant="other") == [f"auth.login.client_secret: {BROKEN}"]


def test_without_a_key_nothing_is_kept_but_what_is_there_already() -> None:
    kept = sealed(SECRET)
    assert refusal(SECRET, None) == [f"auth.login.client_secret: {NO_KEY}"]
    assert refusal(kept, None) == [f"auth.login.client_secret: {NO_KEY}"]
    assert refusal(SECRET, None, before=SECRET) == [f"auth.login.client_secret: {NO_KEY}"]
    assert sealed(kept, before=kept, sealer=None) == kept


def test_a_new_key_seals_anew_what_is_written_again() -> None:
    kept = sealed(SECRET)
    for written in (kept, SECRET):
        renewed = sealed(written, before=kept, sealer=NEW)
        assert renewed != kept
        assert NEW_ALONE.open_text(renewed, "acme") == (SECRET, True)
    assert sealed(kept, before=kept, sealer=NEW_ALONE) == kept  # it cannot be opened; that is the edges' to say
    assert refusal(kept, NEW_ALONE) == [f"auth.login.client_secret: {BROKEN}"]
