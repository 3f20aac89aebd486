"""Where the chunks of a body begin and end, followed to the letter while its bytes arrive (RFC 9112 section 7.1).

aiohttp reads answers leniently: it takes a bare LF for the end of a chunk's data, of an extension and of a trailer, and
blanks behind a size. Another reader of the same bytes may find other chunks there, so nobody can say what is a body and
what the next answer. Nothing of the data is looked at here, or kept.
"""

from __future__ import annotations

import re

from edge.framing import MAX_LENGTH_BYTES

MAX_LINE_BYTES = 16 * 1024
"""The longest line of a chunk's size with its extensions, or of a trailer, line ends included."""
MAX_TRAILERS_BYTES = 64 * 1024
"""All of them together: the parser keeps them. As much as a head may have."""

_LINE_END = b"\r\n"
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION = rb"[ \t]*+;[ \t]*+%b(?:[ \t]*+=[ \t]*+(?:%b|%b))?+" % (_TOKEN, _TOKEN, _QUOTED)
# The line end before it is that of the data before: so there is one thing to look for between data and data.
_SIZE_LINE = re.compile(rb"\r\n([0-9A-Fa-f]++)(?:%b)*+\r\n" % _EXTENSION)
# RFC 9110 section 6.5.1: what frames a message is never a trailer.
_TRAILER = re.compile(rb"(?!(?i:content-length|transfer-encoding):)%b:[\t -~\x80-\xff]*+\r\n" % _TOKEN)


class Chunks:
    """The framing of one body; `follow` is given what comes behind the head, before any lenient parser is.

    `is_over` says that its last byte has come, `has_surplus` that something came behind it.
    """

    # As defaults of the class, so that most bodies set but a few.
    is_over = has_surplus = False
    _is_behind_chunks = False
    _data_left_bytes = _trailers_bytes = 0
    _held = _LINE_END
    """What has come of a line whose end has not; the first size has a line end before it as all others do."""

    @property
    def has_trailers(self) -> bool:
        """Whether any trailer has come."""
        return self._trailers_bytes > 0

    def follow(self, data: bytes) -> str | None:
        """Take received bytes and say what is wrong with the framing, None while nothing is.

        What cannot become right is told when its line ends, if not before. After a fault each byte more is one, too.
        """
        at = self._data_left_bytes
        if at >= len(data):
            self._data_left_bytes = at - len(data)
            return None
        if self.is_over:
            self.has_surplus = True
            return None
        self._data_left_bytes = 0
        held = self._held
        if held:
            data = held + data
            if data.find(b"\n", len(held)) < 0:  # a line that comes byte by byte is not read again for each
                return self._hold(data)
        return self._follow_trailers(data, at) if self._is_behind_chunks else self._follow_sizes(data, at)

    def _follow_sizes(self, data: bytes, at: int) -> str | None:
        received, match = len(data), _SIZE_LINE.match
        while at < received:
            line = match(data, at)
            if line is None:
                return self._hold(data[at:])
            end = line.end()
            size = int(line[1], 16)
            if size > MAX_LENGTH_BYTES or end - at > MAX_LINE_BYTES:
                self._held = data[at:]
                return "too large a chunk, or too long a line of its size"
            if not size:
                self._is_behind_chunks = True
                return self._follow_trailers(data, end)
            at = end + size
        self._data_left_bytes, self._held = at - received, b""
        return None

    def _follow_trailers(self, data: bytes, at: int) -> str | None:
        while not data.startswith(_LINE_END, at):
            line = _TRAILER.match(data, at)
            end = len(data) if line is None else line.end()
            if self._trailers_bytes + end - at > MAX_TRAILERS_BYTES:
                self._held = data[at:]
                return "trailers without end"
            if line is None or end - at > MAX_LINE_BYTES:
                return self._hold(data[at:])
            self._trailers_bytes += end - at
            at = end
        self._held = b""
        self.is_over = True
        if len(data) > at + len(_LINE_END):
            self.has_surplus = True
        return None

    def _hold(self, rest: bytes) -> str | None:
        """Keep what may become a line; what has a line feed and was not found to be one never will."""
        self._held = rest
        begin = 0
        if not self._is_behind_chunks:
            if not _LINE_END.startswith(rest[: len(_LINE_END)]):
                return "a chunk that is longer than it says, or has no line end"
            begin = len(_LINE_END)
        if rest.find(b"\n", begin) >= 0 or 0 <= rest.find(b"\r", begin) < len(rest) - 1:
            return "a trailer that is none" if self._is_behind_chunks else "a chunk size that is none"
        return "too long a line among chunks" if len(rest) > MAX_LINE_BYTES else None
