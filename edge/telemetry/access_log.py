"""One JSON line per request, written off the request path.

A request only appends a record to a list; a thread turns records into lines and writes them, every second or when
enough have come. If writing is slower than the requests, records are dropped and counted, never waited for. A line
has the path but not the query, which may hold a credential, and JSON escapes every control character.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple, Protocol

FLUSH_S = 1.0
FLUSH_RECORDS = 500
MAX_PENDING_RECORDS = 20_000
CLOSE_S = 2.0

# A pipe takes 4096 bytes at once or not at all (POSIX PIPE_BUF), so lines of several workers never mix.
MAX_WRITE_BYTES = 4096
MAX_TEXT_CHARS = 512
MAX_TEXT_CHARS_WHEN_LONG = 48  # eleven texts of which each character is escaped to six still fit


class AccessRecord(NamedTuple):
    """What is known of a request when it is over; `started_at_s` is Unix time. Texts are cut at 512 characters.

    `target` is the last one that was tried, `upstream_s` from then to the head of its answer; None when there was none.
    """

    started_at_s: float
    request_id: str
    remote: str
    method: str
    host: str
    path: str
    has_query: bool
    status: int
    duration_s: float
    received_bytes: int
    sent_bytes: int
    tenant: str = ""
    route: str = ""
    subject: str = ""
    error: str = ""
    detail: str = ""
    target: str = ""
    attempts: int = 0
    upstream_s: float | None = None


class AccessLog(Protocol):
    """What the request path needs of a log: whether to make a record at all, and where to put it."""

    @property
    def is_enabled(self) -> bool: ...

    def add(self, record: AccessRecord) -> None: ...


class NoLog:
    """The log of `--access-log off`."""

    is_enabled = False
    dropped = 0

    def add(self, record: AccessRecord) -> None:
        """Forget the record."""

    async def close(self) -> None:
        """Nothing to write."""


class FileLog:
    """A log written to a file descriptor by one thread; made in a running loop, whose owner owes `close()`."""

    is_enabled = True

    def __init__(self, fd: int) -> None:
        self.dropped = 0
        self._fd = fd
        self._pending: list[AccessRecord] = []
        self._writing = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._batches: SimpleQueue[list[AccessRecord] | None] = SimpleQueue()
        # A daemon: a log whose reader has stopped reading must not keep the process from ending.
        Thread(target=self._write_batches, name="access-log", daemon=True).start()

    def add(self, record: AccessRecord) -> None:
        """Take a record; it is dropped and counted when too many wait to be written."""
        waiting = len(self._pending)
        if waiting + self._writing >= MAX_PENDING_RECORDS:
            self.dropped += 1
            return
        self._pending.append(record)
        if waiting + 1 >= FLUSH_RECORDS:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_S, self._flush)

    async def close(self) -> None:
        """Write what is left, for at most two seconds, and end the thread."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while self._pending or self._writing:
                    self._flush()
                    await self._idle.wait()
        if self._timer is not None:
            self._timer.cancel()
        self._batches.put(None)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing or not self._pending:
            return
        self._writing = len(self._pending)
        self._idle.clear()
        self._batches.put(self._pending)
        self._pending = []

    def _write_batches(self) -> None:
        while (records := self._batches.get()) is not None:
            lost = _write_lines(self._fd, records)
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody is left to be told
                self._loop.call_soon_threadsafe(self._written, lost)

    def _written(self, lost: int) -> None:
        self.dropped += lost
        self._writing = 0
        self._idle.set()
        if self._pending and self._timer is None:
            self._timer = self._loop.call_later(FLUSH_S, self._flush)


def open_access_log(where: str) -> FileLog | NoLog:
    """Open the log that the setting `access_log` names; OSError when the file cannot be opened for appending.

    Call it in a running loop.
    """
    if where == "off":
        return NoLog()
    if where == "-":
        return FileLog(1)
    return FileLog(os.open(Path(where), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640))


def line_of(record: AccessRecord) -> bytes:
    """Render one record as a line of JSON in ASCII, at most 4096 bytes long; empty fields are left out."""
    line = _render(record, MAX_TEXT_CHARS)
    return line if len(line) <= MAX_WRITE_BYTES else _render(record, MAX_TEXT_CHARS_WHEN_LONG)


def _render(record: AccessRecord, most_chars: int) -> bytes:
    at = datetime.fromtimestamp(record.started_at_s, UTC).isoformat(timespec="milliseconds")
    shown: dict[str, object] = {"at": at.replace("+00:00", "Z")}
    for name, value in record._asdict().items():
        if isinstance(value, str):
            if value:
                shown[name] = value[:most_chars]
        elif name.endswith("_s"):
            if value is not None and name != "started_at_s":
                shown[name.removesuffix("s") + "ms"] = round(value * 1000, 3)
        elif name != "attempts" or value > 1:
            shown[name] = value
    return json.dumps(shown, separators=(",", ":")).encode() + b"\n"


def _write_lines(fd: int, records: Sequence[AccessRecord]) -> int:
    """Write the records and return how many could not be written; a log that is full or gone stops nobody."""
    block: list[bytes] = []
    size = lost = 0
    for line in map(line_of, records):
        if size + len(line) > MAX_WRITE_BYTES and block:
            lost += _write_block(fd, block)
            block, size = [], 0
        block.append(line)
        size += len(line)
    return lost + _write_block(fd, block)


def _write_block(fd: int, lines: Sequence[bytes]) -> int:
    data = b"".join(lines)
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        return len(lines)
    return 0
