"""Regular expressions as small automata: enough of RE2's syntax to say which characters and strings they can match.

An expression becomes its Glushkov automaton: one position for each character or class that stands in it, and which
position can follow which. Counts are rounded up (`x{3}` is taken for `x+`) and assertions are left out, so an automaton
matches all that its expression does, and perhaps more: what it rules out is ruled out.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from store.model.characters import (
    CLASSES,
    EVERYTHING,
    OTHERS,
    POSIX_CLASSES,
    Characters,
    bit_of,
    bits,
    in_any_case,
    union,
)

Positions = int

MAX_NESTING = 40
MAX_LINKS_PER_CHARACTER = 4  # of an expression's text; a?a?a?... has as many as the square of its length
MAX_LITERAL_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Automaton:
    """What each position matches, where a match begins and ends, and what may follow what."""

    accepts: tuple[Characters, ...]
    first: Positions
    last: Positions
    follow: tuple[Positions, ...]

    @property
    def characters(self) -> Characters:
        """Every character that can be part of a match."""
        return union(self.accepts)

    @property
    def first_characters(self) -> Characters:
        """Every character that a match that is not empty can begin with."""
        return self._accepted_at(self.first)

    @property
    def literal_start(self) -> str:
        """The text that every match that is not empty begins with, as far as it is ASCII, up to 64 characters."""
        return self._literal(self.first, self.last, self.follow)

    @property
    def literal_end(self) -> str:
        """The text that every match that is not empty ends with, as far as it is ASCII, up to 64 characters."""
        before = [0] * len(self.accepts)
        for position, after in enumerate(self.follow):
            for next_position in bits(after):
                before[next_position] |= 1 << position
        return self._literal(self.last, self.first, before)[::-1]

    def _literal(self, start: Positions, end: Positions, follow: Sequence[Positions]) -> str:
        text = ""
        while start and len(text) < MAX_LITERAL_LENGTH:
            accepted = self._accepted_at(start)
            if accepted.bit_count() != 1 or accepted == OTHERS:
                break
            text += chr(accepted.bit_length() - 1)
            start = 0 if start & end else union(follow[position] for position in bits(start))
        return text

    def _accepted_at(self, positions: Positions) -> Characters:
        return union(self.accepts[position] for position in bits(positions))


@functools.lru_cache(maxsize=4096)
def automaton_of(expression: str) -> Automaton | None:
    """Make the automaton of an expression that RE2 takes; None where the expression is not plain enough to tell."""
    reader = _Reader(expression)
    try:
        whole = reader.alternatives()
    except (_UnclearError, IndexError, ValueError):
        return None
    if reader.at < len(expression):
        return None
    return Automaton(tuple(reader.accepts), whole.first, whole.last, tuple(reader.follow))


class _UnclearError(Exception):
    """The expression holds something that this reader does not know."""


@dataclass(frozen=True, slots=True)
class _Part:
    first: Positions = 0
    last: Positions = 0
    is_optional: bool = True  # the empty string matches


_NOTHING = _Part()


_CONTROLS = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_ASSERTIONS = frozenset("AzbB")

_QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??", re.ASCII)
_GROUP = re.compile(r"\((?:\?P?<\w+>|(?!\?))", re.ASCII)
_FLAGS = re.compile(r"\(\?([imsU]*)(?:-([imsU]*))?([:)])")
_POSIX = re.compile(r"\[:(\^?)(\w+):\]", re.ASCII)
_HEX = re.compile(r"x(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2}))")
_PROPERTY = re.compile(r"[pP](?:\{\^?\w+\}|\w)", re.ASCII)


class _Reader:
    """Reads an expression from the left, collecting positions. IndexError: it ended too early."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.accepts: list[Characters] = []
        self.follow: list[Positions] = []
        self._is_caseless = False
        self._nesting = 0
        self._links_left = MAX_LINKS_PER_CHARACTER * len(text) + 64

    def alternatives(self) -> _Part:
        part = self._sequence()
        while self.text.startswith("|", self.at):
            self.at += 1
            other = self._sequence()
            is_optional = part.is_optional or other.is_optional
            part = _Part(part.first | other.first, part.last | other.last, is_optional)
        return part

    def _sequence(self) -> _Part:
        part = _NOTHING
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            after = self._repeated()
            self._link(part.last, after.first)
            part = _Part(
                part.first | after.first if part.is_optional else part.first,
                part.last | after.last if after.is_optional else after.last,
                part.is_optional and after.is_optional,
            )
        return part

    def _repeated(self) -> _Part:
        part = self._atom()
        while (found := _QUANTIFIER.match(self.text, self.at)) is not None:
            self.at = found.end()
            sign, least, comma, most = found.groups()
            if sign in ("*", "+") or (sign is None and (least not in ("0", "1") or (comma and most not in ("0", "1")))):
                self._link(part.last, part.first)
            is_optional = part.is_optional or sign in ("*", "?") or least == "0"
            part = _Part(part.first, part.last, is_optional)
        return part

    def _link(self, before: Positions, after: Positions) -> None:
        if not after:
            return
        self._links_left -= before.bit_count()
        if self._links_left < 0:
            raise _UnclearError
        while before:  # `bits`, but in place: nothing here is done more often
            lowest = before & -before
            self.follow[lowest.bit_length() - 1] |= after
            before ^= lowest

    def _atom(self) -> _Part:
        character = self.text[self.at]
        if character == "(":
            return self._group()
        if character == "[":
            return self._position(self._class())
        if character == "\\":
            if self.text[self.at + 1] in _ASSERTIONS:
                self.at += 2
                return _NOTHING
            return self._position(self._escape()[0])
        if character in "*+?":
            raise _UnclearError
        self.at += 1
        if character in "^$":
            return _NOTHING
        return self._position(EVERYTHING if character == "." else bit_of(character))

    def _position(self, accepted: Characters) -> _Part:
        place = 1 << len(self.accepts)
        self.accepts.append(in_any_case(accepted) if self._is_caseless else accepted)
        self.follow.append(0)
        return _Part(place, place, is_optional=False)

    def _group(self) -> _Part:
        before = self._is_caseless
        flags = _FLAGS.match(self.text, self.at)
        opened = flags or _GROUP.match(self.text, self.at)
        if opened is None:
            raise _UnclearError
        self.at = opened.end()
        if flags is not None:
            on, off, end = flags.groups()
            self._is_caseless = ("i" in on or before) and "i" not in (off or "")
            if end == ")":
                return _NOTHING  # the flags hold to the end of the group that this stands in
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise _UnclearError
        part = self.alternatives()
        if self.text[self.at] != ")":
            raise _UnclearError
        self.at += 1
        self._nesting -= 1
        self._is_caseless = before
        return part

    def _class(self) -> Characters:
        self.at += 1
        is_negated = self.text[self.at] == "^"
        self.at += is_negated
        accepted, is_first = 0, True
        while is_first or self.text[self.at] != "]":
            is_first = False
            accepted |= self._class_item()
        self.at += 1
        if not is_negated:
            return accepted
        # Of the characters beyond ASCII a few are named at most; the case of a negated class is that of what it names.
        return EVERYTHING & ~((in_any_case(accepted) if self._is_caseless else accepted) & ~OTHERS)

    def _class_item(self) -> Characters:
        posix = _POSIX.match(self.text, self.at)
        if posix is not None:
            self.at = posix.end()
            named = POSIX_CLASSES.get(posix[2])
            if named is None:
                raise _UnclearError
            return EVERYTHING & ~named if posix[1] else named
        accepted, low = self._class_atom()
        if not self.text.startswith("-", self.at) or self.text[self.at + 1] == "]":
            return accepted
        self.at += 1
        high = self._class_atom()[1]
        if low is None or high is None:
            raise _UnclearError
        ascii_part = ((1 << (min(high, 127) + 1)) - 1) & ~((1 << min(low, 128)) - 1)
        return ascii_part | (OTHERS if high > 127 else 0)

    def _class_atom(self) -> tuple[Characters, int | None]:
        if self.text[self.at] == "\\":
            return self._escape()
        character = self.text[self.at]
        self.at += 1
        return bit_of(character), ord(character)

    def _escape(self) -> tuple[Characters, int | None]:
        """Read an escape; what it matches, and its code point where it is one character."""
        self.at += 1
        letter = self.text[self.at]
        long = _HEX.match(self.text, self.at) or _PROPERTY.match(self.text, self.at)
        if long is not None:
            self.at = long.end()
            if long.re is _PROPERTY:
                return EVERYTHING, None
            code = int(long[1] or long[2], 16)
            return 1 << min(code, 128), code
        self.at += 1
        if letter in CLASSES:
            return CLASSES[letter], None
        letter = _CONTROLS.get(letter, letter)
        if letter.isalnum() or not letter.isascii():
            raise _UnclearError
        return bit_of(letter), ord(letter)
