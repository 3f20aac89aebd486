"""Tenants' regular expressions: RE2 alone, within bounds, and what can be said of two of them without trying.

RE2 matches in time linear in the text whatever the expression (https://github.com/google/re2/wiki/Syntax). Every doubt
is answered with "perhaps": an expression that is hard to read might match "/", and might match what another matches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import re2

from store.model.automata import Automaton, Positions, automaton_of
from store.model.characters import bit_of, bits

# What one expression may take, its program and the states it is run with. A thousand routes have one each, or more.
MAX_REGEX_BYTES = 32 * 1024
_SLASH = bit_of("/")


def compile_regex(expression: str) -> Any:
    """Compile an expression; ValueError for one that RE2 does not take, or that is too large."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_REGEX_BYTES
    try:
        return re2.compile(expression, options=options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        if "too large" in text:
            raise ValueError("the regular expression is too large; repeat less") from error
        raise ValueError(f"not a regular expression that RE2 takes: {text}") from error


def can_match_slash(expression: str) -> bool:
    """Say whether an expression might match a text with a "/" in it; False is certain."""
    automaton = automaton_of(expression)
    return automaton is None or bool(automaton.characters & _SLASH)


class Steps:
    """How much more work comparing expressions may be; one for all the comparisons of a document."""

    def __init__(self, left: int) -> None:
        """Allow so many steps, each worth about a microsecond."""
        self.left = left

    @property
    def are_used_up(self) -> bool:
        """Say whether the last comparison was cut short."""
        return self.left < 0


def are_disjoint(one: str, other: str, steps: Steps) -> bool:
    """Say whether no text but the empty one matches both expressions in full; False means "perhaps one does".

    Gives up, with False, when the steps are used up.
    """
    mine, theirs = automaton_of(one), automaton_of(other)
    return mine is not None and theirs is not None and not _may_meet(mine, theirs, steps)


def _may_meet(mine: Automaton, theirs: Automaton, steps: Steps) -> bool:
    """Walk both at once, over pairs of positions that one character reaches together."""
    met: set[tuple[int, int]] = set()
    ahead = [(mine.first, theirs.first)]
    while ahead:
        for pair in _meeting(mine, theirs, ahead.pop(), steps):
            if mine.last >> pair[0] & 1 and theirs.last >> pair[1] & 1:
                return True
            if pair not in met:
                met.add(pair)
                ahead.append((mine.follow[pair[0]], theirs.follow[pair[1]]))
        if steps.are_used_up:
            return True
    return False


def _meeting(
    mine: Automaton, theirs: Automaton, ahead: tuple[Positions, Positions], steps: Steps
) -> Iterator[tuple[int, int]]:
    """Give the pairs of these positions that one character can be at."""
    for my_position in bits(ahead[0]):
        accepted = mine.accepts[my_position]
        for their_position in bits(ahead[1]):
            steps.left -= 1
            if accepted & theirs.accepts[their_position]:
                yield my_position, their_position
