"""One spelling for each path, so that routing, authentication and the target all judge the same one.

The spelling: no dot segments, no empty segments inside, unreserved characters bare and everything else that is not a
path character percent-encoded in upper case (RFC 3986 section 6.2.2). What targets are known to read in two ways is
refused rather than repaired.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from edge.errors import EdgeError

# Nothing in here that the slow way would change or refuse; most paths of most days.
_NORMAL = re.compile(r"(?:/(?![./;])[A-Za-z0-9._~!$&'()*+,;=:@-]*)+")
_PATH_CHARACTERS = "/!$&'()*+,;=:@%-._~"
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_REFUSED_ESCAPES = frozenset({"00", "2F", "5C"})
_SLASHES = re.compile("/{2,}")
_PARAMETERS = re.compile("(?:;|%3B)[^/]*")
# Servers that cut a segment's parameters off make of these an empty segment or a dot segment, and resolve it.
_PARAMETERS_ALONE = re.compile(r"/\.{0,2}(?:;|%3B)")


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into its raw path and raw query; an absolute-form target loses its authority.

    Whether that authority agrees with `Host` is the caller's to check (RFC 9112 section 3.2.2).
    """
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if separator and scheme.lower() in ("http", "https"):
            authority_end = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
            target = rest[authority_end:] if rest[authority_end:].startswith("/") else f"/{rest[authority_end:]}"
    path, _, query = target.partition("?")
    return path, query


def normalise_path(raw: str) -> str:
    """Give a path's one spelling, the path itself where it is spelt so already; idempotent.

    EdgeError `bad_path` for a path that does not begin with "/", climbs above the root, or holds what servers disagree
    about: a backslash, a fragment, a control character, an encoded slash, backslash or NUL, a broken escape, a segment
    that is nothing, "." or ".." but for its parameters.
    """
    if _NORMAL.fullmatch(raw) is not None:
        return raw
    if not raw.startswith("/"):
        raise EdgeError("bad_path", "not an absolute path")
    if any(c in "\\#" or c < "!" or c == "\x7f" for c in raw):
        raise EdgeError("bad_path", "a backslash, a fragment or a control character")
    path = _SLASHES.sub("/", _ESCAPE.sub(_strict_escape, _encoded(raw)))
    if _PARAMETERS_ALONE.search(path) is not None:
        raise EdgeError("bad_path", "a segment of parameters alone, or of dots with parameters")
    return _without_dots(path)


def has_parameters(path: str) -> bool:
    """Say whether a segment of a normalised path has parameters: what follows a ";" (RFC 3986 section 3.3)."""
    return ";" in path or "%3B" in path


def without_parameters(path: str) -> str:
    """Cut the parameters off each segment of a normalised path, as some servers do before they look at it."""
    return _PARAMETERS.sub("", path)


def canonical_text(text: str) -> str:
    """Spell a path's escapes in the one way, refusing nothing: for route patterns and for plain applications."""
    if _NORMAL.fullmatch(text) is not None:
        return text
    return _ESCAPE.sub(_lenient_escape, _encoded(text))


def canonical_pattern(text: str) -> str:
    """Spell the escapes in a route's pattern as requests' paths have them; its own syntax is left alone."""
    return _ESCAPE.sub(_lenient_escape, text) if "%" in text else text


def _encoded(text: str) -> str:
    """Percent-encode what is not a path character; bytes that are not UTF-8 arrive as surrogates and stay bytes."""
    return quote(text, safe=_PATH_CHARACTERS, errors="surrogateescape")


def _strict_escape(match: re.Match[str]) -> str:
    digits = (match.group(1) or "").upper()
    if not digits or digits in _REFUSED_ESCAPES:
        raise EdgeError("bad_path", f"the escape %{digits}")
    return _decoded(digits)


def _lenient_escape(match: re.Match[str]) -> str:
    digits = match.group(1)
    return "%25" if digits is None else _decoded(digits.upper())


def _decoded(digits: str) -> str:
    character = chr(int(digits, 16))
    return character if character in _UNRESERVED else f"%{digits}"


def _without_dots(path: str) -> str:
    """Resolve dot segments (RFC 3986 section 5.2.4), refusing to climb above the root."""
    if "/." not in path:
        return path
    segments: list[str] = []
    parts = path.split("/")[1:]
    for part in parts:
        if part == "..":
            if not segments:
                raise EdgeError("bad_path", "climbs above the root")
            segments.pop()
        elif part != ".":
            segments.append(part)
    if parts[-1] in (".", ".."):
        segments.append("")
    return "/" + "/".join(segments)
