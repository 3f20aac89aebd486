"""The command line in a test: the real one, against a real control plane, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from dataclasses import dataclass
from typing import Any

import pytest

from tenants.cli import run
from tests.tenants.plane import OPERATOR, Plane


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Standard error, line by line."""
        return self.err.splitlines()

    @property
    def data(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.out)


class Portico:
    """Runs `portico ...` with the environment of the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def be(self, url: str, token: str = OPERATOR) -> None:
        """Talk to this admin API as the holder of this token."""
        self._monkeypatch.setenv("PORTICO_ADMIN_URL", url)
        self._monkeypatch.setenv("PORTICO_TOKEN", token)

    async def __call__(self, *arguments: str, stdin: str = "") -> Ended:
        """Run one command to its end."""
        return await asyncio.to_thread(self._run, arguments, stdin)

    async def ok(self, *arguments: str, stdin: str = "") -> Ended:
        """Run one command, which must succeed."""
        ended = await self(*arguments, stdin=stdin)
        assert ended.status == 0, ended
        return ended

    def _run(self, arguments: tuple[str, ...], stdin: str) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        given = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
        with self._monkeypatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr("sys.stdin", given)
            status = run(arguments)
        return Ended(status, out.getvalue(), err.getvalue())


def talking_to(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Portico:
    """A command line that talks to this plane as an operator."""
    portico = Portico(monkeypatch)
    portico.be(plane.url)
    return portico
