"""One JSON line per request, written off the request path.

A request only adds its line to a list; a thread writes them, every second or when enough have come. It does nothing
else: while a thread runs Python, requests wait for the interpreter. If writing is slower than the requests, lines are
dropped and counted, never waited for. A line has the path but not the query, which may hold a credential, and JSON
escapes every control character.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
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
MAX_BLOCK_BYTES = 256 * 1024  # to a file
MAX_TEXT_CHARS = 512
SURELY_WHOLE_BYTES = 690  # the names alone take 180, so that no text in such a line is longer than that
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
    shadow_refused: str = ""


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
        self._most_bytes = MAX_BLOCK_BYTES if stat.S_ISREG(os.fstat(fd).st_mode) else MAX_WRITE_BYTES
        self._pending: list[bytes] = []
        self._writing = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._batches: SimpleQueue[list[bytes] | None] = SimpleQueue()
        # A daemon: a log whose reader has stopped reading must not keep the process from ending.
        Thread(target=self._write_batches, name="access-log", daemon=True).start()

    def add(self, record: AccessRecord) -> None:
        """Take a record; it is dropped and counted when too many wait to be written."""
        waiting = len(self._pending)
        if waiting + self._writing >= MAX_PENDING_RECORDS:
            self.dropped += 1
            return
        self._pending.append(line_of(record))
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
        while (lines := self._batches.get()) is not None:
            lost = _write_lines(self._fd, lines, self._most_bytes)
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
    line = _render(record)
    if len(line) <= SURELY_WHOLE_BYTES:
        return line
    line = _render(_cut(record, MAX_TEXT_CHARS))
    return line if len(line) <= MAX_WRITE_BYTES else _render(_cut(record, MAX_TEXT_CHARS_WHEN_LONG))


def _cut(record: AccessRecord, most_chars: int) -> AccessRecord:
    return AccessRecord._make([value[:most_chars] if isinstance(value, str) else value for value in record])


def _render(record: AccessRecord) -> bytes:
    # By hand, as it is done for every request: `json.dumps` takes half as long again, with the dictionary made already.
    (
        started_at_s, request_id, remote, method, host, path, has_query, status, duration_s, received_bytes, sent_bytes,
        tenant, route, subject, error, detail, target, attempts, upstream_s, shadow_refused,
    ) = record  # fmt: skip
    second = int(started_at_s)
    ms = int((started_at_s - second) * 1000)
    query = "true" if has_query else "false"
    line = (
        f'{{"at":"{_spelt(second)}.{ms:03d}Z","request_id":{_quoted(request_id)},"remote":{_quoted(remote)}'
        f',"method":{_quoted(method)},"host":{_quoted(host)},"path":{_quoted(path)},"has_query":{query}'
        f',"status":{status},"duration_ms":{duration_s * 1000:.3f}'
        f',"received_bytes":{received_bytes},"sent_bytes":{sent_bytes}'
    )
    if tenant:
        line += f',"tenant":{_quoted(tenant)}'
    if route:
        line += f',"route":{_quoted(route)}'
    if subject:
        line += f',"subject":{_quoted(subject)}'
    if error:
        line += f',"error":{_quoted(error)}'
    if detail:
        line += f',"detail":{_quoted(detail)}'
    if shadow_refused:
        line += f',"shadow_refused":{_quoted(shadow_refused)}'
    if target:
        line += f',"target":{_quoted(target)}'
    if attempts > 1:
        line += f',"attempts":{attempts}'
    if upstream_s is not None:
        line += f',"upstream_ms":{upstream_s * 1000:.3f}'
    return f"{line}}}\n".encode("ascii")


@lru_cache(maxsize=4)
def _spelt(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def _write_lines(fd: int, lines: Sequence[bytes], most_bytes: int) -> int:
    """Write the lines and return how many could not be written; a log that is full or gone stops nobody."""
    block: list[bytes] = []
    size = lost = 0
    for line in lines:
        if size + len(line) > most_bytes and block:
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
