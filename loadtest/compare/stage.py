"""What a system is started with, and what is known of it when it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.compare.machine import Cores

PLAIN_HOST = "plain.example.com"
SECRET_FIELD = "X-API-Key"


@dataclass(frozen=True, slots=True)
class Stage:
    """What every system is given: where its files go, which core is its own, and who is behind it.

    `origin_port` answers HTTP, on `echo_port` WebSocket messages are echoed; `files` is how many may be open.
    """

    folder: Path
    cores: Cores
    origin_port: int
    echo_port: int
    files: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose host is asked for, and with which API key; "" for none."""

    host: str
    secret: str = field(default="", repr=False)

    def request(self, path: str) -> bytes:
        """Make the bytes of a GET."""
        return f"GET {path} HTTP/1.1\r\n{self.fields}\r\n".encode()

    @property
    def fields(self) -> str:
        """The header lines of its requests."""
        secret = f"{SECRET_FIELD}: {self.secret}\r\n" if self.secret else ""
        return f"Host: {self.host}\r\n{secret}"


@dataclass(frozen=True, slots=True)
class Running:
    """A system that answers: its process, whose descendants count as well, and where it listens.

    `store_pid` is its Redis, accounted apart; `access_log` may be emptied between rounds.
    """

    pid: int
    port: int
    callers: Sequence[Caller] = (Caller(PLAIN_HOST),)
    store_pid: int | None = None
    access_log: Path | None = None


@dataclass(frozen=True, slots=True)
class System:
    """Something that can be put in front of the origin.

    `version` says which one is here, or None. `start(stage, tenants)` runs it until the context ends: 0 tenants is one
    host without any checks, otherwise so many hosts, each with an API key and a limit that Redis counts, with metrics
    and access log. `does` are the scenarios it can take part in.
    """

    name: str
    does: frozenset[str]
    version: Callable[[], str | None]
    start: Callable[[Stage, int], AbstractAsyncContextManager[Running]]
