"""The processes that `portico dev` starts, and their end: in good order, or by the guard when dev itself is killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LOGGED_WORK = re.compile(r"[\d-]+ [\d:,]+ (DEBUG|INFO) ")
STOP_TIMEOUT_S = 40.0  # the edge's drain grace and some seconds


class ChildEnded(Exception):  # noqa: N818 - the name says what happened
    """A process that should run has ended; the message is one line: which, and what ended it."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: a module with arguments. `env` is added to ours, `ready` is in the line it says when it is ready."""

    name: str
    module: str
    arguments: Sequence[str]
    env: Mapping[str, str]
    ready: str
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """A running process that was not started here. `ending`, once it has ended: its status and its last words."""

    name: str
    pid: int
    ending: Callable[[], tuple[int | None, str]]

    async def ended(self) -> None:
        """Return when it has ended, which it should not have. Raises ChildEnded then."""
        await wait_for_end(self.pid)
        raise ChildEnded(describe_end(self.name, *self.ending()))


class Child:
    """A running program. What it says is kept in a file for each program; what it writes as its work, in another."""

    def __init__(self, program: Program, process: Process, said: Path, written: Path) -> None:
        self.program = program
        self.process = process
        self._said = said
        self._written = written

    async def ready(self) -> str:
        """Return the first line that has `program.ready` in it. Raises ChildEnded."""
        ended = asyncio.create_task(self.process.wait())
        try:
            while not (found := self._line_with(self.program.ready)):
                if ended.done():
                    raise ChildEnded(self._ending())
                # A file has no event to wait for, and a pipe would end with us and take the child along.
                await asyncio.wait([ended], timeout=0.02)
            return found
        finally:
            ended.cancel()

    async def ended(self) -> None:
        """Return when the program has ended, which it should not have. Raises ChildEnded then."""
        await self.process.wait()
        raise ChildEnded(self._ending())

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

    def _ending(self) -> str:
        # What it said when it was ready, and what it logs of its work, are not why it ended.
        words = [line.strip() for line in _lines(self._said) if line.strip() and self.program.ready not in line]
        words = [line for line in words if not LOGGED_WORK.match(line)]
        last = re.sub(r"^portico [a-z]+: ", "", words[-1]) if words else ""
        return describe_end(self.program.name, self.process.returncode, last)

    def _line_with(self, text: str) -> str:
        return next((line for file in (self._said, self._written) for line in _lines(file) if text in line), "")


class Children:
    """Everything that was started; `stop` ends it, last started first. If we are killed, the guard does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard: Process | None = None
        self._running: list[Child] = []
        self._adopted: list[Adopted] = []

    async def start_guard(self, *folders: Path) -> None:
        """Start the guard; before anything else, so that nothing is ever unguarded. It removes `folders` at its end."""
        command = (sys.executable, "-m", "tenants.guard", *map(str, folders))
        self._guard = await asyncio.create_subprocess_exec(*command, stdin=PIPE, start_new_session=True)

    def adopt(self, name: str, pid: int, ending: Callable[[], tuple[int | None, str]]) -> None:
        """Watch over a process that was not started here: if we are killed, the guard ends it; `stop` does not."""
        self._adopted.append(Adopted(name, pid, ending))
        self._guard_too(pid)

    def _guard_too(self, pid: int) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.write(f"{pid}\n".encode())

    async def start(self, program: Program) -> Child:
        """Start a program, out of reach of the terminal's Ctrl-C: it is ours to say who goes when."""
        name = program.name.replace(" ", "-")
        said, written = self._folder / f"{name}.log", self._folder / f"{name}.out"
        with said.open("wb") as errors, written.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", program.module, *program.arguments),
                stdin=DEVNULL,
                stdout=output,
                stderr=errors,
                cwd=program.folder,
                env={**os.environ, **program.env},
                start_new_session=True,
            )
        self._guard_too(process.pid)
        child = Child(program, process, said, written)
        self._running.append(child)
        return child

    async def any_ended(self) -> None:
        """Wait until one ends that should not, the guard included. Raises ChildEnded."""
        watched: list[Adopted | Child] = [*self._adopted, *self._running]
        waits = [asyncio.create_task(each.ended()) for each in watched]
        waits.append(asyncio.create_task(self._guard_ended()))
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        for each in waits:
            if each in done:
                each.result()

    async def _guard_ended(self) -> None:
        assert self._guard is not None, "the guard is started before anything else"
        raise ChildEnded(describe_end("guard", await self._guard.wait(), ""))

    async def stop(self) -> None:
        """End all of them; nothing is left to be guarded then, and the guard goes too."""
        for child in reversed(self._running):
            await child.stop()
        self._running.clear()
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
            await self._guard.wait()


def describe_end(name: str, status: int | None, last_words: str) -> str:
    """Say what ended a process: a signal (a negative `status`), or itself, with which status and which last words."""
    if status is not None and status < 0:
        known = {each.value: f" ({each.name})" for each in signal.Signals}
        return f"the {name} was ended by signal {-status}{known.get(-status, '')}"
    how = f"the {name} has ended" if status is None else f"the {name} has ended with status {status}"
    return f"{how}: {last_words}" if last_words else how


async def wait_for_end(pid: int) -> None:
    """Return when a process has ended; whoever started it still has to ask for its status."""
    try:
        held = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(held, ended.set)  # a descriptor is readable when its process has ended
        await ended.wait()
    finally:
        loop.remove_reader(held)
        os.close(held)


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines()
