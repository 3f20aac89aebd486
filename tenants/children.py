"""The processes that `portico dev` starts, and their end: in good order, or by the guard when dev itself is killed."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STOP_TIMEOUT_S = 40.0  # the edge's drain grace and some seconds


class ChildEnded(Exception):  # noqa: N818 - the name says what happened
    """A process that should run has ended; the message is one line, its own last words."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a module with arguments. `env` is added to ours, `ready` is in the line it says when it is ready."""

    name: str
    module: str
    arguments: Sequence[str]
    env: Mapping[str, str]
    ready: str
    folder: Path | None = None


class Child:
    """A running program. What it says is kept in a file, one for each program."""

    def __init__(self, program: Program, process: Process, said: Path) -> None:
        self.program = program
        self.process = process
        self._said = said

    async def ready(self) -> str:
        """Return the first line that has `program.ready` in it. Raises ChildEnded."""
        ended = asyncio.create_task(self.process.wait())
        try:
            while not (found := self._line_with(self.program.ready)):
                if ended.done():
                    raise ChildEnded(self.last_words())
                # A file has no event to wait for, and a pipe would end with us and take the child along.
                await asyncio.wait([ended], timeout=0.02)
            return found
        finally:
            ended.cancel()

    async def ended(self) -> None:
        """Return when the program has ended, which it should not have. Raises ChildEnded then."""
        await self.process.wait()
        raise ChildEnded(self.last_words())

    async def stop(self) -> None:
        """End it in good order, or after a while at once."""
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def last_words(self) -> str:
        """Return the last line it said, with its name."""
        lines = [line for line in self._text().splitlines() if line.strip()]
        words = lines[-1].strip() if lines else f"it ended with status {self.process.returncode}"
        return f"the {self.program.name} has ended: {re.sub(r'^portico [a-z]+: ', '', words)}"

    def _line_with(self, text: str) -> str:
        return next((line for line in self._text().splitlines() if text in line), "")

    def _text(self) -> str:
        return self._said.read_text(errors="replace")


class Children:
    """Everything that was started; `stop` ends it, last started first. If we are killed, the guard does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard: Process | None = None
        self._running: list[Child] = []

    async def start_guard(self) -> None:
        """Start the guard; before anything else, so that nothing is ever unguarded."""
        command = (sys.executable, "-m", "tenants.guard")
        self._guard = await asyncio.create_subprocess_exec(*command, stdin=PIPE, start_new_session=True)

    def watch(self, pid: int) -> None:
        """Have the guard end a process that is not started here."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.write(f"{pid}\n".encode())

    async def start(self, program: Program) -> Child:
        """Start a program, out of reach of the terminal's Ctrl-C: it is ours to say who goes when."""
        said = self._folder / f"{program.name.replace(' ', '-')}.log"
        with said.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", program.module, *program.arguments),
                stdin=DEVNULL,
                stdout=file,
                stderr=file,
                cwd=program.folder,
                env={**os.environ, **program.env},
                start_new_session=True,
            )
        self.watch(process.pid)
        child = Child(program, process, said)
        self._running.append(child)
        return child

    async def any_ended(self) -> None:
        """Wait until one ends that should not. Raises ChildEnded."""
        waits = [asyncio.create_task(child.ended()) for child in self._running]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        for each in done:
            each.result()

    async def stop(self) -> None:
        """End all of them; nothing is left to be guarded then, and the guard goes too."""
        for child in reversed(self._running):
            await child.stop()
        self._running.clear()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            await self._guard.wait()
