"""Path patterns of routes, parsed once; the order in which they are tried is theirs too.

    /v1              exact
    /users/{id}      parameters, each one whole segment; {id:[0-9]+} constrains it
    /v1/*            prefix: /v1, /v1/ and everything below it
    /{tail:.*}       regex: a constraint that can match "/" makes the whole pattern one

Rank, best first: exact, parameter, prefix (longest first), regex; within a kind, `sort_key` goes segment by segment
from the left, a static one before a constrained parameter before a plain one. Patterns are tenants' text, so
constraints are RE2 expressions, which cannot be made slow (`regexes.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from urllib.parse import unquote

import re2

from store.model.automata import automaton_of
from store.model.regexes import can_match_slash, compile_regex

MAX_PATTERN_LENGTH = 1024
RESERVED_PREFIX = "/.portico/"
"""What is under it the edge answers itself, on every host."""
_ESCAPE = re.compile(r"%(..)?", re.DOTALL)
_HEX_PAIR = re.compile(r"[0-9A-F]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_PARAMETERS_ALONE = re.compile(r"/\.{0,2}(?:;|%3B)")
_PLACEHOLDER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STATIC = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*")


class PathKind(IntEnum):
    """The kinds of pattern, best rank first."""

    EXACT = 0
    PARAMETER = 1
    PREFIX = 2
    REGEX = 3


class SegmentKind(IntEnum):
    """The kinds of segment, best rank first."""

    STATIC = 0
    CONSTRAINED = 1
    PLAIN = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of a pattern: static text, or a parameter's name with its constraint ("" for none).

    `regex` is a constrained segment's whole expression, which may hold static text around several parameters.
    """

    kind: SegmentKind
    text: str
    names: tuple[str, ...] = ()
    regex: str = ""
    compiled: Any = field(default=None, compare=False, repr=False)

    def match(self, segment: str) -> dict[str, str] | None:
        """Match one raw segment of a path; what its parameters stand for, percent-decoded."""
        if self.kind is SegmentKind.STATIC:
            return {} if segment == self.text else None
        if not segment:
            return None
        if self.kind is SegmentKind.PLAIN:
            return {self.names[0]: unquote(segment)}
        found = self.compiled.fullmatch(segment)
        return None if found is None else {name: unquote(found.group(name)) for name in self.names}


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A parsed pattern; equal patterns are equal texts.

    For PREFIX, `segments` are those before the star; for REGEX they are empty and `compiled` matches the whole path.
    """

    text: str
    kind: PathKind
    segments: tuple[Segment, ...]
    params: tuple[str, ...]
    compiled: Any = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> PathPattern:
        """Parse a pattern; ValueError says what is wrong with it."""
        if not text.startswith("/"):
            raise ValueError("a path begins with '/'")
        if len(text) > MAX_PATTERN_LENGTH:
            raise ValueError(f"a path is at most {MAX_PATTERN_LENGTH} characters long")
        is_prefix = text.endswith("/*")
        pieces = _pieces(text[:-2] if is_prefix else text)
        _check_segments(pieces, is_prefix)
        params = tuple(piece.name for piece in pieces if isinstance(piece, _Placeholder))
        if len(set(params)) != len(params):
            raise ValueError("two parameters of the same name")
        if any(isinstance(piece, _Placeholder) and piece.spans_segments for piece in pieces):
            if is_prefix:
                raise ValueError("a path is either a prefix or a regex, not both")
            return cls(text, PathKind.REGEX, (), params, _compiled(_expression(pieces), params))
        segments = _segments(pieces)
        if is_prefix:
            return cls(text, PathKind.PREFIX, segments, params)
        kind = PathKind.PARAMETER if params else PathKind.EXACT
        return cls(text, kind, segments, params)

    @classmethod
    def parse_written(cls, text: str) -> PathPattern:
        """Parse a pattern of a document: one that requests' paths, in their one spelling, can match.

        ValueError says what is wrong with it, also for what would be accepted and never match, or match another thing
        than was meant.
        """
        _check_spelling(text)
        pattern = cls.parse(text)
        if any("*" in segment.text for segment in pattern.segments):
            raise ValueError("a '*' stands only at the end, as in /v1/*; elsewhere write {name}")
        if _PARAMETERS_ALONE.search(_skeleton(_pieces(text))) is not None:
            raise ValueError("a segment that is nothing or dots but for its parameters, which no request's path has")
        return pattern

    @property
    def sort_key(self) -> tuple[Any, ...]:
        """What patterns are tried in the order of, across kinds and inside them; equal for equal ranks."""
        kinds = tuple(int(segment.kind) for segment in self.segments)
        if self.kind is PathKind.PREFIX:
            return (int(self.kind), -len(self.segments), kinds)
        return (int(self.kind), 0, kinds)

    def match(self, path: str) -> dict[str, str] | None:
        """Match a normalised raw path; what its parameters stand for, percent-decoded, or None."""
        if self.kind is PathKind.REGEX:
            found = self.compiled.fullmatch(path)
            return None if found is None else {name: unquote(found.group(name)) for name in self.params}
        parts = path[1:].split("/")
        wanted = len(self.segments)
        if self.kind is PathKind.PREFIX:
            if len(parts) < wanted:
                return None
        elif len(parts) != wanted:
            return None
        params: dict[str, str] = {}
        for segment, part in zip(self.segments, parts, strict=False):
            found_params = segment.match(part)
            if found_params is None:
                return None
            params.update(found_params)
        return params


@dataclass(frozen=True, slots=True)
class _Placeholder:
    name: str
    constraint: str

    @property
    def spans_segments(self) -> bool:
        return bool(self.constraint) and can_match_slash(self.constraint)


_Piece = str | _Placeholder


def _check_spelling(text: str) -> None:
    """Refuse escapes that no request's path has when it is matched (RFC 3986 section 6.2.2)."""
    for escape in _ESCAPE.finditer(text):
        digits = escape[1] or ""
        if _HEX_PAIR.fullmatch(digits) is None:
            raise ValueError("a '%' stands before two upper-case hexadecimal digits; in a constraint write \\x25")
        character = chr(int(digits, 16))
        if _UNRESERVED.fullmatch(character) is not None:
            raise ValueError(f"write {character!r} for %{digits}, as requests' paths have it")
        if character in "/\\\0":
            raise ValueError(f"%{digits} is in no path that the edge accepts")


def _pieces(text: str) -> list[_Piece]:
    """Split a pattern into static text and placeholders; braces nest inside a constraint."""
    pieces: list[_Piece] = []
    at = 0
    while at < len(text):
        start = text.find("{", at)
        if start < 0:
            pieces.append(_static(text[at:]))
            break
        if start > at:
            pieces.append(_static(text[at:start]))
        end = _closing_brace(text, start)
        pieces.append(_placeholder(text[start + 1 : end]))
        at = end + 1
    return pieces


def _static(text: str) -> str:
    if "}" in text:
        raise ValueError("a '}' without its '{'")
    if _STATIC.fullmatch(text) is None:
        raise ValueError(f"characters that are not allowed in a path, percent-encode them: {text!r}")
    return text


def _skeleton(pieces: Sequence[_Piece]) -> str:
    """Write a pattern without what its placeholders hold."""
    return "".join(piece if isinstance(piece, str) else "{}" for piece in pieces)


def _check_segments(pieces: Sequence[_Piece], is_prefix: bool) -> None:
    skeleton = _skeleton(pieces)
    segments = [*skeleton[1:].split("/"), *(["*"] if is_prefix and skeleton else [])]
    if "" in segments[:-1] or not {".", ".."}.isdisjoint(segments):
        raise ValueError("an empty or dot segment, which no request's path has")


def _closing_brace(text: str, start: int) -> int:
    depth = 0
    at = start
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        at += 1
    raise ValueError("a '{' without its '}'")


def _placeholder(text: str) -> _Placeholder:
    name, colon, constraint = text.partition(":")
    if _PLACEHOLDER_NAME.fullmatch(name) is None:
        raise ValueError(f"a parameter's name is a word: {name!r}")
    if colon and not constraint:
        raise ValueError(f"parameter {name!r} has an empty constraint")
    if constraint and automaton_of(constraint) is None:
        compile_regex(constraint)  # by itself: "a)|(b" is no expression, though it is one between brackets
    return _Placeholder(name, constraint)


def _segments(pieces: list[_Piece]) -> tuple[Segment, ...]:
    """Cut the pieces at slashes; a segment with text around a parameter is a constrained one."""
    columns: list[list[_Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, _Placeholder):
            columns[-1].append(piece)
            continue
        first, *rest = piece.split("/")
        if first:
            columns[-1].append(first)
        columns.extend([part] if part else [] for part in rest)
    return tuple(_segment(column) for column in columns[1:])


def _segment(column: list[_Piece]) -> Segment:
    names = tuple(piece.name for piece in column if isinstance(piece, _Placeholder))
    if not names:
        return Segment(SegmentKind.STATIC, "".join(str(piece) for piece in column))
    only = column[0]
    if len(column) == 1 and isinstance(only, _Placeholder) and not only.constraint:
        return Segment(SegmentKind.PLAIN, "", names)
    regex = _expression(column)
    return Segment(SegmentKind.CONSTRAINED, "", names, regex, _compiled(regex, names))


def _compiled(expression: str, names: tuple[str, ...]) -> Any:
    compiled = compile_regex(expression)
    if compiled.groups != len(names):
        raise ValueError("a constraint has a group; write (?:...) instead of (...)")
    return compiled


def _expression(pieces: list[_Piece]) -> str:
    """Write pieces as one regular expression with named groups."""
    return "".join(
        f"(?P<{piece.name}>{piece.constraint or '[^/]+'})" if isinstance(piece, _Placeholder) else re2.escape(piece)
        for piece in pieces
    )
