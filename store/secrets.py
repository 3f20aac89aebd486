"""API keys and admin tokens: how they look, how they are recognised, and the hash kept instead of them.

    pk_<id>_<secret><checksum>        pk: an API key of a tenant    pt: a token for the admin API

The id (71 bits) finds the record, the secret (131 bits) proves it, and the checksum (CRC-32 in base 62)
refuses a typo or a truncated paste without any look-up. Only a SHA-256 of the whole text is stored: with
that much entropy a slow hash would add cost and no safety.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from dataclasses import dataclass, field
from typing import Literal

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
ID_CHARS = 12
SECRET_CHARS = 22
CHECKSUM_CHARS = 6
API_KEY_PREFIX = "pk"
TOKEN_PREFIX = "pt"  # noqa: S105 - a prefix, not a password
_FORMS = {
    prefix: re.compile(rf"{prefix}_([0-9A-Za-z]{{{ID_CHARS}}})_.{{{SECRET_CHARS + CHECKSUM_CHARS}}}", re.DOTALL)
    for prefix in (API_KEY_PREFIX, TOKEN_PREFIX)
}
_BASE62 = frozenset(ALPHABET)


@dataclass(frozen=True)
class NewKey:
    """A fresh key; `text` is shown to its owner once and kept nowhere."""

    id: str
    text: str = field(repr=False)

    @property
    def hash(self) -> bytes:
        """What is stored instead of `text`."""
        return hash_secret(self.text)


@dataclass(frozen=True)
class ParsedKey:
    """A text that has the form of one of our keys; whether it is one, the record's hash says."""

    id: str
    hash: bytes = field(repr=False)


@dataclass(frozen=True)
class ApiKeyRecord:
    """What is kept of an API key; times are Unix milliseconds."""

    id: str
    name: str
    hash: bytes = field(repr=False)
    created_at_ms: int
    expires_at_ms: int | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TokenRecord:
    """What is kept of an admin token; `tenant` is None for an operator's."""

    id: str
    name: str
    hash: bytes = field(repr=False)
    kind: Literal["operator", "tenant"]
    tenant: str | None
    created_at_ms: int
    expires_at_ms: int | None = None


def new_api_key() -> NewKey:
    """Make an API key from the system's random source."""
    return _new(API_KEY_PREFIX)


def new_token() -> NewKey:
    """Make an admin token from the system's random source."""
    return _new(TOKEN_PREFIX)


def parse_api_key(text: str) -> ParsedKey | None:
    """Return its id and hash, or None when the text cannot be a key of ours; no I/O, any input is safe."""
    return _parse(API_KEY_PREFIX, text)


def parse_token(text: str) -> ParsedKey | None:
    """Return its id and hash, or None when the text cannot be a token of ours; no I/O, any input is safe."""
    return _parse(TOKEN_PREFIX, text)


def hash_secret(text: str) -> bytes:
    """SHA-256 of the whole text; for secrets of high entropy only, never for passwords people choose."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def is_same_hash(given: bytes, kept: bytes) -> bool:
    """Compare two hashes in constant time."""
    return hmac.compare_digest(given, kept)


def is_expired(expires_at_ms: int | None, now_ms: int) -> bool:
    """Whether a record's time is over at `now_ms`; None never expires."""
    return expires_at_ms is not None and now_ms >= expires_at_ms


def _new(prefix: str) -> NewKey:
    key_id = _random_text(ID_CHARS)
    body = f"{prefix}_{key_id}_{_random_text(SECRET_CHARS)}"
    return NewKey(key_id, body + _checksum(body))


def _parse(prefix: str, text: str) -> ParsedKey | None:
    key_id = key_id_of(text, prefix)
    return None if key_id is None or not _has_valid_checksum(text) else ParsedKey(key_id, hash_secret(text))


def key_id_of(text: str, prefix: str = API_KEY_PREFIX) -> str | None:
    """Return the id in a text that has the form of a key, or None; its checksum is not looked at."""
    found = _FORMS[prefix].fullmatch(text)
    return None if found is None else found[1]


def _has_valid_checksum(text: str) -> bool:
    return _BASE62.issuperset(text.replace("_", "", 2)) and _checksum(text[:-CHECKSUM_CHARS]) == text[-CHECKSUM_CHARS:]


def _random_text(chars: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(chars))


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("ascii"))
    digits = []
    for _ in range(CHECKSUM_CHARS):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
