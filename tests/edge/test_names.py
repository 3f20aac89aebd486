"""What the names of an answer's fields say, looked up by all of them at once."""

from __future__ import annotations

import pytest

from edge.headers import HOP_BY_HOP
from edge.names import _KNOWN, MAX_KNOWN, MAX_KNOWN_BYTES, names_of


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
@pytest.mark.parametrize("spelt", [str.title, str.upper, lambda name: name.replace("-", "_")])
def test_what_concerns_one_connection_stays_behind_in_either_spelling(name: str, spelt: object) -> None:
    assert callable(spelt)
    names = names_of(((b"Server", b"x"), (spelt(name).encode(), b"x")))
    assert names.keeps == (True, False)
    assert names.kept == {b"server"}


def test_a_list_of_names_is_read_once() -> None:
    assert names_of(((b"A", b"1"), (b"B", b"2"))) is names_of(((b"A", b"3"), (b"B", b"4")))


def test_memory_is_bounded_whatever_targets_invent() -> None:
    names_of(((b"X" * (MAX_KNOWN_BYTES + 1), b"1"),))
    for number in range(2 * MAX_KNOWN):
        names_of(((b"X-%d" % number, b"1"),))
    assert len(_KNOWN) <= MAX_KNOWN
    assert all(sum(map(len, names)) <= MAX_KNOWN_BYTES for names in _KNOWN)
