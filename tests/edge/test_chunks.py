"""Chunks read to the letter, against a reader that has all of them at once and against aiohttp's own."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpResponseParser
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.chunks import MAX_LINE_BYTES, Chunks
from tests.fakes.chunks import END, FAULTY, SOUND

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FAULT, MORE, OVER, SURPLUS = "a fault", "more to come", "over", "over, and something behind it"
HEX, DIGITS = string.hexdigits, string.digits
TOKEN = "!#$%&'*+-.^_`|~" + string.ascii_letters + DIGITS

PIECES = (
    b"0\r\n\r\n", b"0\r\n", b"1\r\nx\r\n", b"1\r\n\r\r\n", b"2\r\n\r\n\r\n", b"a\r\n0123456789\r\n", b"0f", b"00",
    b"2", b"g", b";a", b";a=b", b';a="b"', b';a="', b"\\", b'"', b"=", b"X: 1\r\n", b"X:\r\n",
    b"Content-Length: 1\r\n", b":", b"\r\n", b"\r", b"\n", b" ", b"\t", b"\0", b"\x7f", b"\xff", b"-", b"_",
    b"8000000000000000", b"7fffffffffffffff",
)  # fmt: skip
BODIES = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


def verdict(pieces: Iterable[bytes]) -> str:
    """Say what these bytes are to the one that follows them; nothing after a fault may be good again."""
    chunks = Chunks()
    found = [chunks.follow(piece) for piece in pieces if piece]
    faults = [fault is not None for fault in found]
    assert faults == sorted(faults)
    if any(faults):
        return FAULT
    return SURPLUS if chunks.has_surplus else OVER if chunks.is_over else MORE


def split(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[begin:end] for begin, end in pairwise(places)]


# -- a reader that is slow and simple ----------------------------------------------------------------------------------


def read_whole(body: bytes) -> str:
    """Say what these bytes are, by the grammar of RFC 9112 section 7.1, character by character."""
    rest = body.decode("latin-1")
    while True:
        line, found, behind = rest.partition("\r\n")
        if not found:
            return _unended(line)
        size = _size(line)
        if size is None or "\n" in line:
            return FAULT
        if not size:
            return _read_trailers(behind)
        if len(behind) <= size:
            return MORE
        end = behind[size : size + 2]
        if end != "\r\n":
            return MORE if end == "\r" else FAULT
        rest = behind[size + 2 :]


def _unended(line: str) -> str:
    """A line without an end is a fault where it holds half of one."""
    return FAULT if "\n" in line or "\r" in line[:-1] else MORE


def _read_trailers(rest: str) -> str:
    while True:
        line, found, rest = rest.partition("\r\n")
        if not found:
            return _unended(line)
        if not line:
            return SURPLUS if rest else OVER
        name, colon, value = line.partition(":")
        if not (name and colon and set(name) <= set(TOKEN)) or name.lower() in ("content-length", "transfer-encoding"):
            return FAULT
        if any(each != "\t" and (each < " " or each == "\x7f") for each in value):
            return FAULT


def _size(line: str) -> int | None:
    """Give the size that a line says, None when it is none."""
    digits = line[: next((at for at, each in enumerate(line) if each not in HEX), len(line))]
    if not digits or int(digits, 16) > 2**63 - 1 or not _are_extensions(line[len(digits) :]):
        return None
    return int(digits, 16)


def _are_extensions(text: str) -> bool:
    while text:
        text = text.lstrip(" \t")
        rest = _behind_token(text[1:].lstrip(" \t")) if text.startswith(";") else None
        if rest is not None and rest.lstrip(" \t").startswith("="):
            value = rest.lstrip(" \t")[1:].lstrip(" \t")
            rest = _behind_quoted(value) if value.startswith('"') else _behind_token(value)
        if rest is None:
            return False
        text = rest
    return True


def _behind_token(text: str) -> str | None:
    rest = text.lstrip(TOKEN)
    return None if rest == text else rest


def _behind_quoted(text: str) -> str | None:
    at = 1
    while at < len(text) and text[at] != '"':
        at += text[at] == "\\"
        each = text[at : at + 1]
        if each != "\t" and (each < " " or each == "\x7f"):
            return None
        at += 1
    return text[at + 1 :] if at < len(text) else None


# -- and what is held against it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", FAULTY.values(), ids=FAULTY)
def test_a_fault_is_seen_however_the_bytes_come(body: bytes) -> None:
    assert read_whole(body) == FAULT
    for at in range(len(body)):
        assert verdict((body[:at], body[at:])) == FAULT
    assert verdict(split(body, range(len(body)))) == FAULT


@pytest.mark.parametrize(("body", "_data"), SOUND.values(), ids=SOUND)
def test_the_end_is_seen_however_the_bytes_come_and_what_is_behind_it_too(body: bytes, _data: bytes) -> None:
    assert read_whole(body) == OVER
    for at in range(len(body)):
        assert verdict([body[:at]]) == MORE
        assert verdict((body[:at], body[at:])) == OVER
        assert verdict((body[:at], body[at:] + b"x")) == SURPLUS
        assert verdict((body[:at], body[at:], b"x")) == SURPLUS
    assert verdict(split(body, range(len(body)))) == OVER


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Give a known body, or one of pieces, with more pieces here and there and bytes left out."""
    body = draw(st.sampled_from((*FAULTY.values(), *(body for body, _ in SOUND.values()))) | BODIES)
    for piece in draw(st.lists(st.sampled_from((b"", *PIECES)), max_size=3)):
        at = draw(st.integers(0, len(body)))
        body = body[:at] + piece + body[at + draw(st.integers(0, 2)) :]
    return body


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(bodies(), st.lists(st.integers(0, 200), max_size=6))
def test_any_split_has_the_verdict_of_a_reader_who_has_it_all(body: bytes, cuts: Sequence[int]) -> None:
    assert verdict(split(body, cuts)) == verdict([body]) == verdict(split(body, range(200))) == read_whole(body)


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(bodies(), st.lists(st.integers(0, 200), max_size=6))
def test_where_no_fault_is_seen_the_parser_has_its_end_at_the_same_byte(body: bytes, cuts: Sequence[int]) -> None:
    asyncio.run(_is_in_step(split(body, cuts)))


async def _is_in_step(pieces: Sequence[bytes]) -> None:
    loop = asyncio.get_running_loop()
    parser = HttpResponseParser(BaseProtocol(loop), loop, 2**16, read_until_eof=True)
    ((_, payload),), _, _ = parser.feed_data(HEAD)
    chunks = Chunks()
    for piece in pieces:
        if chunks.follow(piece) is not None:
            return
        try:
            parser.feed_data(piece)
        except Exception:  # what the parser refuses is no body either, whatever the grammar says
            return
        assert payload.is_eof() == chunks.is_over
        if chunks.is_over:
            return


# -- bounds ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [b"2;%b\r\nhi\r\n" + END, b"0;%b\r\n\r\n", b"0\r\n%b:\r\n\r\n", b"0\r\nX: 1\r\nX:%b\r\n\r\n"],
    ids=["an extension", "the last extension", "a trailer's name", "a trailer's value"],
)
@pytest.mark.parametrize("step", [1, 1000, MAX_LINE_BYTES, 10 * MAX_LINE_BYTES])
def test_a_line_has_a_bound_however_it_comes(line: bytes, step: int) -> None:
    for size, expected in ((MAX_LINE_BYTES - 10, OVER), (MAX_LINE_BYTES, FAULT)):
        body = line % (b"a" * size)
        assert verdict(body[at : at + step] for at in range(0, len(body), step)) == expected


@pytest.mark.parametrize("begun", [b"2;a", b"0\r\nX: ", b"0\r\nX"])
def test_a_line_without_an_end_is_not_kept_beyond_its_bound(begun: bytes) -> None:
    chunks = Chunks()
    assert chunks.follow(begun) is None
    count = next(count for count in range(MAX_LINE_BYTES) if chunks.follow(b"a" * 100) is not None)
    assert count <= MAX_LINE_BYTES // 100


def test_a_chunk_as_long_as_anybody_can_count_to_is_passed_over() -> None:
    chunks = Chunks()
    assert chunks.follow(b"7fffffffffffffff\r\n") is None
    assert chunks.follow(bytes(1000)) is None
    assert not chunks.is_over
