"""Secrets in documents: sealed before they are written, so that no history, diff, export or log ever has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from store.model import DocumentError, Fault, SessionAuth, TenantDocument
from store.sealing import SealBroken, Sealer, is_sealed

NO_KEY = "cannot be kept: this control plane was started without PORTICO_SECRET_KEY"
BROKEN = "was sealed for another tenant, or by a key that is not here: write the secret itself"


def seal_secrets(document: TenantDocument, before: Mapping[str, Any], sealer: Sealer | None) -> TenantDocument:
    """Give the document with its secrets sealed; DocumentError for those that cannot be.

    `before` is the document that it takes the place of, as it is kept: what is in there and has not changed stays as it
    is sealed, so that writing the same document again changes nothing. What an older key has sealed is sealed anew.
    """
    methods: dict[str, SessionAuth] = {}
    faults = []
    for name, method in document.auth.items():
        if isinstance(method, SessionAuth) and method.client_secret is not None:
            try:
                secret = _sealed(method.client_secret, _kept(before, name), document.tenant, sealer)
            except ValueError as error:
                faults.append(Fault(f"auth.{name}.client_secret", str(error)))
            else:
                methods[name] = method.model_copy(update={"client_secret": secret})
    if faults:
        raise DocumentError(faults)
    return document.model_copy(update={"auth": {**document.auth, **methods}}) if methods else document


def _sealed(secret: str, kept: str, tenant: str, sealer: Sealer | None) -> str:
    if sealer is None:
        if secret == kept and is_sealed(kept):
            return kept  # what is there already may be written again, along with something else
        raise ValueError(NO_KEY)
    if is_sealed(secret):
        try:
            plain, is_current = sealer.open_text(secret, tenant)
        except SealBroken:
            if secret == kept:
                return kept
            raise ValueError(BROKEN) from None
        return secret if is_current else sealer.seal_text(plain, tenant)
    return kept if _holds(kept, secret, tenant, sealer) else sealer.seal_text(secret, tenant)


def _holds(kept: str, secret: str, tenant: str, sealer: Sealer) -> bool:
    """Say whether a secret is what is kept already, sealed by the key that seals now."""
    try:
        return sealer.open_text(kept, tenant) == (secret, True)
    except SealBroken:
        return False


def _kept(before: Mapping[str, Any], name: str) -> str:
    return str(before.get("auth", {}).get(name, {}).get("client_secret", ""))
