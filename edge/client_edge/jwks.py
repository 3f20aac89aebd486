"""A JSON Web Key Set (RFC 7517) as an issuer sends it -> the keys that its tokens may be signed with; pure.

An issuer is a stranger: what it sends is bounded in size and number, and a key that is weak, symmetric, private, or for
something else than signatures is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWK, PyJWTError

MAX_SET_BYTES = 65_536
MAX_KEYS_LOOKED_AT = 64
MAX_KEYS = 32
MAX_KID_CHARS = 256
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192
MAX_EXPONENT_BITS = 32  # 65537 has 17; a long one makes each check of a signature as dear as making it

_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_BY_CURVE: Mapping[tuple[str, str], frozenset[str]] = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
_PUBLIC = ("kty", "crv", "n", "e", "x", "y")
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True, eq=False)
class PublicKey:
    """A key of an issuer: its name, what it may be used with, and `fingerprint`, which no other key has."""

    kid: str | None
    algorithms: frozenset[str]
    fingerprint: bytes
    key: Any
    """As PyJWT takes it."""


def read_key_set(body: bytes) -> tuple[PublicKey, ...]:
    """Read the usable keys of a set; ValueError when it is none, too long, or nothing in it can be used."""
    if len(body) > MAX_SET_BYTES:
        raise ValueError(f"a key set has at most {MAX_SET_BYTES} bytes")
    try:
        listed = json.loads(body)["keys"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise ValueError("not a key set") from None
    if not isinstance(listed, list):
        raise ValueError("not a key set")
    found = [key for raw in listed[:MAX_KEYS_LOOKED_AT] if isinstance(raw, dict) and (key := _key(raw)) is not None]
    if not found:
        raise ValueError("a key set without a key that can be used")
    return tuple(found[:MAX_KEYS])


def pick(keys: Sequence[PublicKey], kid: str | None, algorithm: str) -> PublicKey | None:
    """Give the one key of this name for this algorithm; a token that names none has the only one, if it is the only."""
    fitting = [each for each in keys if algorithm in each.algorithms and (kid is None or each.kid == kid)]
    return fitting[0] if len(fitting) == 1 else None


def _key(raw: Mapping[str, Any]) -> PublicKey | None:
    algorithms = _algorithms(raw)
    kid = raw.get("kid")
    if not algorithms or not (kid is None or (isinstance(kid, str) and len(kid) <= MAX_KID_CHARS)):
        return None
    public = {name: raw[name] for name in _PUBLIC if name in raw}
    try:
        key = PyJWK(public, algorithm=min(algorithms)).key
    except (PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    if raw["kty"] == "RSA" and not _is_sound_rsa(key):
        return None
    told = json.dumps([kid, sorted(algorithms), public], sort_keys=True)
    return PublicKey(kid, algorithms, sha256(told.encode()).digest(), key)


def _algorithms(raw: Mapping[str, Any]) -> frozenset[str]:
    """Say what a key may be used with, nothing when it is not for checking signatures or should not be public."""
    use, operations, algorithm = raw.get("use", "sig"), raw.get("key_ops", ["verify"]), raw.get("alg")
    if use != "sig" or not isinstance(operations, list) or "verify" not in operations or _PRIVATE & raw.keys():
        return frozenset()
    kind, curve = raw.get("kty"), raw.get("crv")
    able = _RSA if kind == "RSA" else frozenset()
    if isinstance(kind, str) and isinstance(curve, str):
        able = _BY_CURVE.get((kind, curve), able)
    return able if algorithm is None else frozenset(each for each in able if each == algorithm)


def _is_sound_rsa(key: Any) -> bool:
    exponent: int = key.public_numbers().e
    bits: int = key.key_size
    return MIN_RSA_BITS <= bits <= MAX_RSA_BITS and exponent.bit_length() <= MAX_EXPONENT_BITS
