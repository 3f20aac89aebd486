"""What is sealed is opened for the same purpose, context and key alone, and never shows what is in it."""

from __future__ import annotations

import pytest

from store.sealing import SEALED_PREFIX, SealBroken, Sealer, decoded, encoded, is_sealed

OLD, NEW = b"o" * 32, b"n" * 32


def test_what_is_sealed_is_opened_again() -> None:
    sealer = Sealer([NEW])
    for content in (b"", b"x", b"\0" * 100_000):
        sealed = sealer.seal(content, "session", "acme/1")
        assert sealer.open(sealed, "session", "acme/1") == (content, True)
        assert len(sealed) == len(content) + 29


def test_the_same_content_is_never_sealed_the_same_way_twice() -> None:
    assert len({Sealer([NEW]).seal(b"x", "session", "a") for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("keys", "purpose", "context"),
    [([OLD], "session", "a"), ([NEW], "login", "a"), ([NEW], "session", "b"), ([NEW], "session", "")],
)
def test_nothing_is_opened_by_another_key_or_for_something_else(keys: list[bytes], purpose: str, context: str) -> None:
    sealed = Sealer([NEW]).seal(b"secret", "session", "a")
    with pytest.raises(SealBroken):
        Sealer(keys).open(sealed, purpose, context)  # type: ignore[arg-type]


def test_a_changed_byte_anywhere_is_noticed() -> None:
    sealer = Sealer([NEW])
    sealed = sealer.seal(b"secret", "session", "a")
    for at in range(len(sealed)):
        spoilt = bytearray(sealed)
        spoilt[at] ^= 1
        with pytest.raises(SealBroken):
            sealer.open(bytes(spoilt), "session", "a")
    for short in (b"", sealed[:1], sealed[:13], sealed[:-1]):
        with pytest.raises(SealBroken):
            sealer.open(short, "session", "a")


def test_a_key_is_replaced_without_losing_what_the_old_one_sealed() -> None:
    before, meanwhile, after = Sealer([OLD]), Sealer([NEW, OLD]), Sealer([NEW])
    old, new = before.seal(b"x", "session", "a"), meanwhile.seal(b"x", "session", "a")
    assert meanwhile.open(old, "session", "a") == (b"x", False)
    assert after.open(new, "session", "a") == (b"x", True)
    with pytest.raises(SealBroken):
        after.open(old, "session", "a")


def test_a_text_of_a_document_belongs_to_its_tenant() -> None:
    sealer = Sealer([NEW])
    sealed = sealer.seal_text("s3cret ü", "acme")
    assert sealed.startswith(SEALED_PREFIX)
    assert is_sealed(sealed)
    assert "s3cret" not in sealed
    assert sealer.open_text(sealed, "acme") == ("s3cret ü", True)
    with pytest.raises(SealBroken):
        sealer.open_text(sealed, "other")


@pytest.mark.parametrize(
    "text", ["", "s3cret", SEALED_PREFIX, f"{SEALED_PREFIX}%%%", f"{SEALED_PREFIX}é", "sealed:v2:AA"]
)
def test_what_is_not_sealed_is_not_opened(text: str) -> None:
    with pytest.raises(SealBroken):
        Sealer([NEW]).open_text(text, "acme")


def test_base64_is_written_without_padding_and_read_back() -> None:
    for length in range(20):
        assert decoded(encoded(b"\xff" * length)) == b"\xff" * length
        assert "=" not in encoded(b"\xff" * length)


@pytest.mark.parametrize("keys", [[], [b""], [NEW[:-1]], [NEW, b"short"]])
def test_a_key_has_32_bytes(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(keys)
