"""What reads strangers' words without a connection: whatever they are, it gives one spelling or its own error."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.paths import canonical_text, normalise_path
from edge.rewrite import Rewrite, compile_rewrite
from store.codec import HEAD, SCHEMA, CodecError, DomainState, TenantRecord, encode, open_envelope
from store.model import (
    DocumentError,
    PathPattern,
    dump_document,
    normalise_host,
    parse_document,
    read_document,
)
from tests.fuzz.rig import Violation
from tests.fuzz.strategies import MUTATIONS
from tests.store.model.documents import FULL, holes, put

Example = tuple[str, Any]
"""A decoder's name, and what it reads; bytes as Latin-1, so that every example can be written as JSON."""

RECORD = encode(TenantRecord(FULL, {"shop.acme.com": DomainState("shop.acme.com", "active", "operator", 1)}), "acme")
HOSTS = (
    "shop.acme.com",
    "*.acme.app",
    "[::1]:80",
    "10.0.0.1:8080",
    "b\xfccher.example.",
    "xn--bcher-kva.example",
    "a_b.c",
)
PATHS = ("/a/b", "/a/../b", "/a//b/./c", "/%41%2e%2e/%2F", "/caf\xe9/\udcff", "/a;b=c/..;/d", "/v1/users/42?x#y")
PATTERNS = ("/users/{id}", "/users/{id:[0-9]+}/*", "/files/{path:.+}", "/a{b}c{d:[a-z]{1,3}}", "/v1/*", "/%7B/{x}")
REWRITES = ("^/v1", "^/v(\\d+)/(.*)", "(a|b)*", "/{2,}", "\\.", ".*")
TARGETS = ("/", "/api", "/a\\1", "\\2/\\1", "/..", "%2F", "//x", "/\\0?a#b")


def check_decoder(example: Example) -> None:
    """Let the decoder read; Violation for an error that is not its own, and for what is not stable."""
    name, given = example
    try:
        _CHECKS[name](given)
    except (Violation, MemoryError):
        raise
    except Exception as error:
        raise Violation(name, f"{type(error).__name__}: {error}: {given!r}") from error


def _record(text: str) -> None:
    try:
        record = open_envelope(text.encode("latin-1"), "acme").record()
    except CodecError:
        return
    _expect("record", record == open_envelope(encode(record, "acme"), "acme").record(), text)


def _document(raw: Any) -> None:
    with suppress(DocumentError):
        read_document(raw)
    try:
        document = parse_document(raw)
    except DocumentError as error:
        _expect("document", error.faults, raw)
        return
    _expect("document", parse_document(dump_document(document)) == document, raw)
    _expect("document", read_document(dump_document(document)) == document, raw)


def _path(text: str) -> None:
    canonical = canonical_text(text)
    _expect("path", canonical_text(canonical) == canonical, text)
    try:
        normal = normalise_path(text)
    except EdgeError as error:
        _expect("path", error.status == 400, text)
        return
    _expect("path", normalise_path(normal) == normal == canonical_text(normal), text)
    _expect("path", normal.isascii() and normal.startswith("/") and "//" not in normal, text)


def _host(text: str) -> None:
    try:
        host = normalise_host(text)
    except ValueError:
        return
    _expect("host", normalise_host(host) == host and host.isascii() and host == host.lower(), text)


def _pattern(texts: list[str]) -> None:
    written, path = texts
    try:
        pattern, path = PathPattern.parse_written(written), normalise_path(path)
    except (EdgeError, ValueError):
        return
    found = pattern.match(path)
    _expect("pattern", found is None or all(isinstance(value, str) for value in found.values()), texts)


def _rewrite(texts: list[str]) -> None:
    before, after, path = texts
    try:
        path = normalise_path(path)
        _expect("rewrite", Rewrite(before, after).execute(path).startswith("/"), texts)
    except (EdgeError, ValueError):
        pass
    for fields in ({"regex": before, "to": after}, {"from": before, "to": after}, {"strip_prefix": before}):
        try:
            document = parse_document(put(FULL, ("routes", 0, "rewrite"), fields))
            rewrite = document.routes[0].rewrite
            assert rewrite is not None
            rewritten = compile_rewrite(rewrite)(normalise_path(path))
        except (EdgeError, DocumentError):
            continue
        # A prefix is replaced by what the tenant wrote, as written; what an expression makes of a path is judged again.
        if rewrite.kind == "regex" or _is_normal(rewrite.to or "/"):
            _expect("rewrite", normalise_path(rewritten) == rewritten, [fields, path, rewritten])


def _is_normal(path: str) -> bool:
    try:
        return normalise_path(path) == path
    except EdgeError:
        return False


_CHECKS: dict[str, Callable[[Any], None]] = {
    "record": _record,
    "document": _document,
    "path": _path,
    "host": _host,
    "pattern": _pattern,
    "rewrite": _rewrite,
}


def _expect(name: str, is_so: object, given: object) -> None:
    if not is_so:
        raise Violation(name, repr(given))


# -- what they read ----------------------------------------------------------------------------------------------------


@st.composite
def _records(draw: st.DrawFn) -> str:
    data = RECORD
    is_sealed = draw(st.booleans())  # a checksum that is right lets the mutations through to what is behind it
    body = data[HEAD.size :] if is_sealed else data
    for mutation in draw(st.lists(MUTATIONS, min_size=1, max_size=3)):
        body = mutation(body)
    if is_sealed:
        body = HEAD.pack(b"P", SCHEMA, zlib.crc32(bytes([SCHEMA]) + body)) + body
    return body.decode("latin-1")


_ODD = st.sampled_from(
    ("", " ", "*", "/", "//", "0", "-1", "1e400", "\x00", "\udc80", "\u202e", "a" * 5000, "{", "(a+)+$")
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | _ODD
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_PLACES = list(holes(FULL))


@st.composite
def _documents(draw: st.DrawFn) -> Any:
    raw: Any = copy.deepcopy(FULL)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_PLACES))
        other = draw(st.sampled_from(_PLACES))
        try:
            value = draw(_VALUES) if draw(st.booleans()) else _at(raw, other)
            raw = put(raw, place, value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return raw


def _at(raw: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        raw = raw[step]
    return copy.deepcopy(raw)


@st.composite
def _texts(draw: st.DrawFn, *bases: str) -> str:
    data = draw(st.sampled_from(bases)).encode("utf-8", "surrogateescape")
    for mutation in draw(st.lists(MUTATIONS, max_size=3)):
        data = mutation(data)
    return data.decode("utf-8", "surrogateescape")


def _named(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Example]:
    return st.tuples(st.just(name), values)


DECODED: st.SearchStrategy[Example] = st.one_of(
    _named("record", _records()),
    _named("document", _documents()),
    _named("path", _texts(*PATHS)),
    _named("host", _texts(*HOSTS)),
    _named("pattern", st.tuples(_texts(*PATTERNS), _texts(*PATHS)).map(list)),
    _named("rewrite", st.tuples(_texts(*REWRITES, *PATHS), _texts(*TARGETS), _texts(*PATHS)).map(list)),
)
