"""`portico hash-password`: a hash that a document takes and the edge checks, and no password anywhere else."""

from __future__ import annotations

import pytest

from edge.client_edge.passwords import verify
from store.model.passwords import check_password_hash
from tests.tenants.portico import Portico


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        ("correct horse\n", "correct horse"),
        ("no line's end", "no line's end"),
        ("e\u0301\r\n", "\u00e9"),
        (" a \n", " a "),
    ],
)
async def test_a_password_on_standard_input_becomes_a_hash_that_documents_take(
    portico: Portico, typed: str, password: str
) -> None:
    ended = await portico.ok("hash-password", stdin=typed)
    made = ended.out.removesuffix("\n")
    assert check_password_hash(made) == made
    assert verify(made, password)
    assert not verify(made, password + "x")
    assert password not in ended.out + ended.err


async def test_each_hash_is_another(portico: Portico) -> None:
    first, second = [(await portico.ok("hash-password", "-o", "json", stdin="same\n")).data["hash"] for _ in range(2)]
    assert first != second


@pytest.mark.parametrize("typed", ["", "\n", "a\x07b\n", "x" * 1025])
async def test_what_can_be_no_password_is_refused(portico: Portico, typed: str) -> None:
    ended = await portico("hash-password", stdin=typed)
    assert (ended.status, ended.out) == (2, "")
    assert "the password" in ended.err


async def test_no_password_is_taken_from_the_command_line(portico: Portico) -> None:
    assert (await portico("hash-password", "secret")).status == 2
