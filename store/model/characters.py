"""Sets of characters as bits of an integer: one for each of ASCII, and one for all others together."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator

Characters = int

OTHERS: Characters = 1 << 128
EVERYTHING: Characters = (OTHERS << 1) - 1


def bit_of(character: str) -> Characters:
    """Give the bit of one character."""
    return 1 << min(ord(character), 128)


def bits(mask: int) -> Iterator[int]:
    """Give the places of the bits that are set, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def set_of(characters: Iterable[str]) -> Characters:
    """Give the bits of some characters."""
    return union(map(bit_of, characters))


def union(masks: Iterable[Characters]) -> Characters:
    """Give what is in any of some sets."""
    whole = 0
    for mask in masks:
        whole |= mask
    return whole


_ASCII = list(map(chr, range(128)))
_DIGIT = set_of(string.digits)
_WORD = set_of(string.ascii_letters + string.digits + "_")
_SPACE = set_of("\t\n\f\r ")
# By the letter after the backslash, as RE2 has them: of ASCII alone.
CLASSES = {
    "d": _DIGIT,
    "w": _WORD,
    "s": _SPACE,
    "D": EVERYTHING & ~_DIGIT,
    "W": EVERYTHING & ~_WORD,
    "S": EVERYTHING & ~_SPACE,
}
# By the name between "[:" and ":]".
POSIX_CLASSES = {
    "alnum": set_of(string.ascii_letters + string.digits),
    "alpha": set_of(string.ascii_letters),
    "ascii": set_of(_ASCII),
    "blank": set_of("\t "),
    "cntrl": set_of(c for c in _ASCII if not c.isprintable()),
    "digit": _DIGIT,
    "graph": set_of(c for c in _ASCII if c.isprintable() and c != " "),
    "lower": set_of(string.ascii_lowercase),
    "print": set_of(c for c in _ASCII if c.isprintable()),
    "punct": set_of(string.punctuation),
    "space": _SPACE | set_of("\v"),
    "upper": set_of(string.ascii_uppercase),
    "word": _WORD,
    "xdigit": set_of(string.hexdigits),
}
# Letters whose other case is not ASCII: K and the Kelvin sign, S and the long s.
_CASED_BEYOND_ASCII = set_of("kKsS")


def in_any_case(accepted: Characters) -> Characters:
    """Give what a set matches under the flag `i`, and perhaps more of what is not ASCII."""
    letters = (chr(place) for place in bits(accepted & POSIX_CLASSES["alpha"]))
    accepted |= set_of(letter.swapcase() for letter in letters)
    if accepted & OTHERS:
        return accepted | _CASED_BEYOND_ASCII
    return accepted | (OTHERS if accepted & _CASED_BEYOND_ASCII else 0)
