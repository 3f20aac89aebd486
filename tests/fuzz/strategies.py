"""What is sent: well-formed messages, changed in a few places, in arbitrary segments, with every kind of end."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal

from hypothesis import strategies as st

from tests.fuzz.seeds import ANSWERS, REQUESTS, chunked, get

End = Literal["wait", "eof", "close", "reset"]
Mutation = Callable[[bytes], bytes]

MAX_AT = 1 << 16
FRAGMENTS = (
    b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\0", b"\t", b" ", b"\x0b", b"\x7f", b"\x80", b"\xff",
    b"\xc3\xa9", b":",
    b";", b",", b"%", b"%2f", b"%00", b"..", b"/../", b"//", b"\\", b"#", b"?", b"0", b"1", b"-1", b"+", b"0x",
    b"chunked",
    b"\r\n ", b"\r\n\t", b"0\r\n\r\n", b"5\r\n", b"HTTP/1.1", b"GET / HTTP/1.1\r\n", b"\xe2\x80\xa8", b"PRI * HTTP/2.0",
)  # fmt: skip
LINES = (
    b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 16", b"Content-Length: -1", b"Content-Length: +5",
    b"Content-Length: 5, 5", b"Content-Length: 0x5", b"Content-Length:", b"Content-Length : 5", b"Content-Length: 5 ",
    b"Content-Length: 99999999999999999999", b"Transfer-Encoding: chunked", b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: Chunked", b"Transfer-Encoding: identity", b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding:\tchunked", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding:", b" Transfer-Encoding: chunked", b"TE: trailers",
    b"Connection: close", b"Connection: keep-alive, close", b"Connection: Content-Length", b"Connection: Host",
    b"Connection: Transfer-Encoding", b"Connection: X-Tag", b"Connection: upgrade", b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Expect: 100-continue", b"Expect: 100-Continue", b"Expect: 200-ok", b"Expect:", b"Host: shop.test", b"Host: other",
    b"Host:", b"Host: shop.test:80", b"Host: a@b", b"Host: shop.test, shop.test", b"Host: [::1]", b"Host: \xff",
    b"Host: sh\xc3\xb6p.test", b"X-Forwarded-Host: a", b"X-Forwarded-For: 1.2.3.4, \xff", b"Forwarded: for=\"_a\"",
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", b"Cookie: " + b"a=b; " * 300,
    b"X-Long: " + b"x" * 8180, b"X-Long: " + b"x" * 9000, b"\r\n".join(b"X-%d: y" % at for at in range(101)),
    b"X\x00: y", b"X y: z", b": z", b"X", b"X: \x01", b"X: \xff\xfe", b"X: " + b" " * 500, b"HTTP2-Settings: AAMA",
)  # fmt: skip
STARTS = (
    b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT", b"get", b"G\xcaT",
    b"M-SEARCH",
    b"PROPFIND", b"PRI", b"A" * 300, b"",
)  # fmt: skip
VERSIONS = (b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.", b"http/1.1", b"HTTP/11.1", b"")
CHUNK_HEADS = (
    b"%x", b"%X", b"0%x", b"000000000000000000000%x", b"0x%x", b"+%x", b" %x", b"%x ", b"%x;a=b", b"%x;a=\"\r\n\"",
    b"%x;",
    b"%x;\xff", b"%x ;a", b"-%x", b"%x\t", b"%x\x00", b"%xg", b"f%x", b"ffffffffffffffff%x", b"%x\n",
)  # fmt: skip
CHUNK_ENDS = (b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n", b"xx", b"\r\nx")
_VERSION = re.compile(rb"HTTP/1\.[01]")
_NUMBER = re.compile(rb"(?<=Length: )[0-9]+|(?<=\r\n)[0-9a-f]+(?=\r\n)")


@dataclass(frozen=True)
class Attack:
    """What one peer sends, a segment after the other, and how it ends: by waiting for the other, or by itself."""

    segments: tuple[bytes, ...]
    end: End

    def __repr__(self) -> str:
        return f"Attack({self.data!r} in {len(self.segments)} segments, then {self.end})"

    @property
    def data(self) -> bytes:
        """All that is sent."""
        return b"".join(self.segments)

    def as_json(self) -> dict[str, str]:
        """Give it as JSON has it: bytes as Latin-1, the sizes of the segments in a row."""
        sizes = " ".join(str(len(each)) for each in self.segments)
        return {"data": self.data.decode("latin-1"), "sizes": sizes, "end": self.end}

    @classmethod
    def of_json(cls, raw: dict[str, Any]) -> Attack:
        """Read what `as_json` gave; one segment where no sizes are given."""
        data: bytes = raw["data"].encode("latin-1")
        ends = accumulate(map(int, raw["sizes"].split())) if "sizes" in raw else (len(data),)
        return cls(_in_segments(data, tuple(ends)), raw["end"])


def _flip(at: int, bits: int) -> Mutation:
    def change(data: bytes) -> bytes:
        here = at % (len(data) or 1)
        return data[:here] + bytes([data[here] ^ bits]) + data[here + 1 :] if data else data

    return change


def _insert(at: int, piece: bytes, times: int) -> Mutation:
    return lambda data: data[: at % (len(data) + 1)] + piece * times + data[at % (len(data) + 1) :]


def _drop(at: int, size: int) -> Mutation:
    return lambda data: data[: at % (len(data) + 1)] + data[at % (len(data) + 1) + size :]


def _truncate(at: int) -> Mutation:
    return lambda data: data[: at % (len(data) + 1)]


def _lines(at: int, to: int, change: Callable[[list[bytes], int, int], None]) -> Mutation:
    def apply(data: bytes) -> bytes:
        lines = data.split(b"\r\n")
        change(lines, at % len(lines), to % len(lines))
        return b"\r\n".join(lines)

    return apply


def _add_line(at: int, line: bytes) -> Mutation:
    return _lines(at, 0, lambda lines, here, _: lines.insert(max(1, here), line))


def _repeat_line(at: int, to: int) -> Mutation:
    return _lines(at, to, lambda lines, here, there: lines.insert(there, lines[here]))


def _remove_line(at: int) -> Mutation:
    def remove(lines: list[bytes], here: int, _: int) -> None:
        del lines[here]

    return _lines(at, 0, remove)


def _replace_nth(pattern: re.Pattern[bytes], at: int, by: bytes) -> Mutation:
    def change(data: bytes) -> bytes:
        found = list(pattern.finditer(data))
        if not found:
            return data
        match = found[at % len(found)]
        return data[: match.start()] + by + data[match.end() :]

    return change


def _replace_start(by: bytes) -> Mutation:
    return lambda data: by + data[data.find(b" ") :] if b" " in data else data


_at = st.integers(0, MAX_AT)
MUTATIONS: st.SearchStrategy[Mutation] = st.one_of(
    st.builds(_insert, _at, st.sampled_from(FRAGMENTS), st.sampled_from((1, 1, 1, 2, 40))),
    st.builds(_insert, _at, st.binary(min_size=1, max_size=6), st.just(1)),
    st.builds(_add_line, st.integers(0, 12), st.sampled_from(LINES)),
    st.builds(_flip, _at, st.integers(1, 255)),
    st.builds(_drop, _at, st.sampled_from((1, 1, 2, 3, 16))),
    st.builds(_truncate, _at),
    st.builds(_repeat_line, st.integers(0, 12), st.integers(0, 12)),
    st.builds(_remove_line, st.integers(0, 12)),
    st.builds(
        _replace_nth, st.just(_NUMBER), st.integers(0, 4), st.sampled_from((b"0", b"1", b"5", b"ffff", b"00", b""))
    ),
    st.builds(_replace_nth, st.just(_VERSION), st.integers(0, 2), st.sampled_from(VERSIONS)),
    st.builds(_replace_start, st.sampled_from(STARTS)),
)


def _in_segments(data: bytes, cuts: Sequence[int]) -> tuple[bytes, ...]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return tuple(data[start:end] for start, end in pairwise(edges))


def _byte_by_byte(data: bytes) -> tuple[bytes, ...]:
    return _in_segments(data, range(600))


@st.composite
def attacks(draw: st.DrawFn, base: st.SearchStrategy[bytes], ends: st.SearchStrategy[End]) -> Attack:
    """Change a message in up to five places, cut it into segments and choose its end."""
    data = draw(base)
    for mutation in draw(st.lists(MUTATIONS, max_size=5)):
        data = mutation(data)
    cuts = draw(st.none() | st.lists(_at, max_size=5))
    return Attack(_byte_by_byte(data) if cuts is None else _in_segments(data, cuts), draw(ends))


@st.composite
def _chunked_bodies(draw: st.DrawFn) -> bytes:
    """Frame a body as nobody should, and follow it with a good request."""
    framed = b""
    for size in draw(st.lists(st.integers(1, 40), max_size=5)):
        head = draw(st.just(CHUNK_HEADS[0]) | st.sampled_from(CHUNK_HEADS))
        framed += head % size + b"\r\n" + b"a" * size + draw(st.just(CHUNK_ENDS[0]) | st.sampled_from(CHUNK_ENDS))
    last = draw(
        st.sampled_from((b"0\r\n\r\n", b"0\r\n\r\n", b"0;x\r\n\r\n", b"00\r\nA: b\r\n\r\n", b"0\r\nA b\r\n\r\n", b""))
    )
    return chunked(0).removesuffix(b"0\r\n\r\n") + framed + last + get(1)


_REQUEST_ENDS: st.SearchStrategy[End] = st.sampled_from(("wait", "wait", "wait", "eof", "close", "reset"))
_ANSWER_ENDS: st.SearchStrategy[End] = st.sampled_from(("wait", "close", "close", "reset"))
REQUEST_ATTACKS = st.lists(attacks(st.sampled_from(REQUESTS), _REQUEST_ENDS), min_size=1, max_size=16)
BODY_ATTACKS = st.lists(attacks(_chunked_bodies(), _REQUEST_ENDS), min_size=1, max_size=16)
ANSWER_ATTACKS = st.lists(attacks(st.sampled_from(ANSWERS), _ANSWER_ENDS), min_size=1, max_size=12)
