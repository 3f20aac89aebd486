"""What is kept encrypted: sealed with the installation's secret key, opened by whoever has it. Pure, no I/O.

    0x01 | nonce (12 bytes) | AES-256-GCM of the content, with its tag

Each purpose and context (a tenant, a session) has a key of its own, made of the secret one by HKDF-SHA-256 (RFC 5869),
so that what was sealed for one can never be opened as another, and no key is used for so many contents that two random
nonces could meet. A text in a document is sealed as `sealed:v1:` and base64.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Literal, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from store.errors import StoreError

Purpose = Literal["session", "login", "document secret"]

KEY_BYTES = 32
SEALED_PREFIX = "sealed:v1:"
_VERSION = b"\x01"
_NONCE_BYTES = 12


class SealBroken(StoreError, ValueError):  # noqa: N818 - the name says what happened
    """It was not sealed here: by another key, for another purpose or tenant, or it was changed since."""


class Opened(NamedTuple):
    """A content, and whether it was sealed by the key that seals now."""

    content: bytes
    is_current: bool


class Sealer:
    """Seals by the first of the secret keys, and opens what any of them sealed; ValueError when there is none."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"expected at least one key of {KEY_BYTES} bytes")
        self._keys = tuple(keys)

    def seal(self, content: bytes, purpose: Purpose, context: str) -> bytes:
        """Encrypt a content, to be opened for the same purpose and context alone."""
        info, nonce = _info(purpose, context), os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + _cipher(self._keys[0], info).encrypt(nonce, content, info)

    def open(self, sealed: bytes, purpose: Purpose, context: str) -> Opened:
        """Decrypt what was sealed. Raises SealBroken."""
        info, nonce = _info(purpose, context), sealed[1 : 1 + _NONCE_BYTES]
        if sealed[:1] == _VERSION and len(nonce) == _NONCE_BYTES:
            for key in self._keys:
                try:
                    content = _cipher(key, info).decrypt(nonce, sealed[1 + _NONCE_BYTES :], info)
                except InvalidTag:
                    continue
                return Opened(content, key is self._keys[0])
        raise SealBroken("it was not sealed for this by any of the secret keys")

    def seal_text(self, text: str, tenant: str) -> str:
        """Encrypt a secret text of a tenant's document."""
        return SEALED_PREFIX + encoded(self.seal(text.encode(), "document secret", tenant))

    def open_text(self, sealed: str, tenant: str) -> tuple[str, bool]:
        """Decrypt a text that `seal_text` made, and say whether by the key that seals now. Raises SealBroken."""
        if not is_sealed(sealed):
            raise SealBroken("it is not sealed")
        opened = self.open(decoded(sealed.removeprefix(SEALED_PREFIX)), "document secret", tenant)
        return opened.content.decode(), opened.is_current


def is_sealed(text: str) -> bool:
    """Say whether a text of a document has the form of a sealed one."""
    return text.startswith(SEALED_PREFIX)


def encoded(sealed: bytes) -> str:
    """Write bytes in base64 for URLs, without padding."""
    return urlsafe_b64encode(sealed).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Read base64 for URLs without its padding. Raises SealBroken."""
    try:
        return urlsafe_b64decode((text + "=" * (-len(text) % 4)).encode("ascii"))
    except ValueError:
        raise SealBroken("it is not base64") from None


def _info(purpose: Purpose, context: str) -> bytes:
    return f"portico {purpose}\0{context}".encode()


def _cipher(key: bytes, info: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(key))
