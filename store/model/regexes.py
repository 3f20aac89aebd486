"""What can be said about two regular expressions by their letters alone; every doubt is answered with "perhaps"."""

from __future__ import annotations

import re
import string

_QUANTIFIERS_OF_NONE = frozenset("*?{")
_CLASSES = {
    "d": frozenset(string.digits),
    "w": frozenset(string.ascii_letters + string.digits + "_"),
}
_NAMED_GROUP = re.compile(r"\(\?P<\w+>")
_SPECIAL = frozenset(".^$*+?{}[]|()\\")

Characters = frozenset[str]


def are_disjoint(one: str, other: str) -> bool:
    """Say whether no string can match both expressions in full, as far as their first characters tell.

    Both match no empty string (a path segment is never empty). False means "perhaps they share one".
    """
    mine, theirs = first_characters(_ungrouped(one)), first_characters(_ungrouped(other))
    return mine is not None and theirs is not None and mine.isdisjoint(theirs)


def literal_prefix(pattern: str) -> str:
    """Give the text of a path pattern before its first placeholder."""
    return pattern.partition("{")[0]


def first_characters(expression: str) -> Characters | None:
    """Give every character that a match can begin with, or None where that is not plain to see."""
    first: Characters = frozenset()
    for branch in _branches(expression):
        characters = _first_of(branch)
        if characters is None:
            return None
        first |= characters
    return first


def _ungrouped(expression: str) -> str:
    """Take one group around the whole of an expression off, as the constraint of a parameter has it."""
    match = _NAMED_GROUP.match(expression)
    if match is not None and expression.endswith(")") and _closes_at(expression, 0) == len(expression) - 1:
        return expression[match.end() : -1]
    return _NAMED_GROUP.sub("(?:", expression)


def _branches(expression: str) -> list[str]:
    """Split at the alternatives that are not inside of a group or class."""
    branches, depth, in_class, start, at = [], 0, False, 0, 0
    while at < len(expression):
        character = expression[at]
        if character == "\\":
            at += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            branches.append(expression[start:at])
            start = at + 1
        at += 1
    branches.append(expression[start:])
    return branches


def _closes_at(expression: str, start: int) -> int:
    depth, at = 0, start
    while at < len(expression):
        character = expression[at]
        if character == "\\":
            at += 1
        elif character == "[":
            at = expression.find("]", at + 2)
            if at < 0:
                return -1
        elif character in "()":
            depth += 1 if character == "(" else -1
            if depth == 0:
                return at
        at += 1
    return -1


def _first_of(branch: str) -> Characters | None:
    if not branch:
        return None
    if branch.startswith("(?:"):
        end = _closes_at(branch, 0)
        inner = first_characters(branch[3:end]) if end > 0 else None
        return _unless_optional(inner, branch[end + 1 :])
    if branch[0] == "[":
        end = branch.find("]", 2)
        return _unless_optional(_of_class(branch[1:end]) if end > 0 else None, branch[end + 1 :])
    if branch[0] == "\\":
        escaped = branch[1:2]
        characters = _CLASSES.get(escaped) if escaped.isalnum() else frozenset(escaped)
        return _unless_optional(characters, branch[2:])
    if branch[0] in _SPECIAL:
        return None
    return _unless_optional(frozenset(branch[0]), branch[1:])


def _unless_optional(characters: Characters | None, rest: str) -> Characters | None:
    """What follows may be first too when the atom before it can be left out."""
    return None if rest[:1] in _QUANTIFIERS_OF_NONE and rest[:1] else characters


def _of_class(body: str) -> Characters | None:
    """Give the characters of a class such as a-z0-9_; None for a negated one or one with escapes."""
    if body.startswith("^") or "\\" in body or "[" in body:
        return None
    characters: set[str] = set()
    at = 0
    while at < len(body):
        if body[at + 1 : at + 2] == "-" and at + 2 < len(body):
            characters.update(map(chr, range(ord(body[at]), ord(body[at + 2]) + 1)))
            at += 3
        else:
            characters.add(body[at])
            at += 1
    return frozenset(characters)
