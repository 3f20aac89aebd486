"""Hashes of passwords as documents hold them: argon2id alone, as costly as it must be and no more than can be paid.

    $argon2id$v=19$m=65536,t=3,p=4$<salt>$<hash>        m: memory in KiB, t: passes over it, p: lanes

Whoever writes a document says what each check costs the edge, and whoever gets hold of one how cheaply it can be
guessed at: so both ends are bounded. The floor is the weakest that OWASP's Password Storage Cheat Sheet calls
equivalent; the ceiling leaves room above the second choice of RFC 9106 section 4 (64 MiB, three passes, four lanes).
"""

from __future__ import annotations

import re

MIN_MEMORY_KIB, MAX_MEMORY_KIB = 7 * 1024, 128 * 1024
MAX_PASSES = 10
MAX_LANES = 4
MIN_WORK_KIB, MAX_WORK_KIB = 35 * 1024, 256 * 1024
"""Memory times passes, which is what a check takes time for."""

_BASE64 = "[A-Za-z0-9+/]"
_FORM = re.compile(
    r"\$argon2id\$v=19\$m=([1-9][0-9]{0,8}),t=([1-9][0-9]{0,8}),p=([1-9][0-9]{0,8})"
    rf"\$({_BASE64}{{11,86}})\$({_BASE64}{{22,86}})"  # a salt of 8 bytes to 64, a hash of 16 to 64
)


def check_password_hash(text: str) -> str:
    """Give a hash back; ValueError for any that is not argon2id's, too weak, or too costly. It is never repeated."""
    found = _FORM.fullmatch(text)
    if found is None or not all(_is_whole(part) for part in found.groups()[3:]):
        raise ValueError("expected an argon2id hash ($argon2id$v=19$...), as `portico hash-password` makes it")
    memory_kib, passes, lanes = map(int, found.groups()[:3])
    work_kib = memory_kib * passes
    if memory_kib < max(MIN_MEMORY_KIB, 8 * lanes) or work_kib < MIN_WORK_KIB:
        raise ValueError(f"is too cheap to guess at: m is at least {MIN_MEMORY_KIB}, m times t {MIN_WORK_KIB}")
    if memory_kib > MAX_MEMORY_KIB or passes > MAX_PASSES or lanes > MAX_LANES or work_kib > MAX_WORK_KIB:
        raise ValueError(
            f"costs too much to check: m is at most {MAX_MEMORY_KIB}, t {MAX_PASSES}, p {MAX_LANES}, "
            f"m times t {MAX_WORK_KIB}"
        )
    return text


def _is_whole(base64: str) -> bool:
    """Say whether some base64 without padding is one that stands for bytes."""
    return len(base64) % 4 != 1
