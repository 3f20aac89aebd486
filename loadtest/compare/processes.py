"""Processes of others on loopback: started on a core, waited for until they answer, ended with all their children."""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import socket
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from loadtest.compare.machine import on_core
from loadtest.node import StartError

PORTS = range(20_000, 30_000)  # below those that the system gives to outgoing connections
READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
POLL_S = 0.02
DAEMONS = "/usr/local/sbin:/usr/sbin:/sbin"
LINE_CHARS = 300
PLACE = re.compile(r"(?:/[\w.+@-]+){2,}/?")


class DriveError(Exception):
    """A round that measured nothing; the message says why."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    for port in random.sample(PORTS, k=100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise StartError(f"no free port between {PORTS[0]} and {PORTS[-1]}")


def find_program(name: str) -> str | None:
    """Find a program on PATH, or where Debian has daemons, which is on the PATH of root alone."""
    return shutil.which(name) or shutil.which(name, path=DAEMONS)


def said_by(command: Sequence[str]) -> str:
    """Run a command that says its version, and return all it says; "" when it fails."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout + ended.stderr


@asynccontextmanager
async def running(
    command: Sequence[str], core: int, log: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run a command on a core until the context ends; what it says goes to the file `log`."""
    with on_core(core), log.open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=DEVNULL,
            stdout=said,
            stderr=STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,  # a Ctrl-C at the terminal reaches us, and we end it
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        pass
    finally:  # also when we are told to hurry: nothing of its session outlives us
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def until_answered(process: Process, port: int, request: bytes, log: Path) -> None:
    """Send the request until a 200 comes back. Raises StartError, which quotes the log's end."""
    try:
        async with asyncio.timeout(READY_TIMEOUT_S):
            while not await _is_answered(port, request):
                if process.returncode is not None:
                    raise StartError(f"it ended with status {process.returncode}: {_end_of(log)}")
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise StartError(f"no answer within {READY_TIMEOUT_S:g} s: {_end_of(log)}") from None


async def _is_answered(port: int, request: bytes) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(request)
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _end_of(log: Path) -> str:
    return last_line(log.read_text(errors="replace")) or "it said nothing"


def last_line(text: str) -> str:
    """Return the last line that says something, without the places of this machine, as it may be published."""
    line = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    return PLACE.sub("...", line.strip())[-LINE_CHARS:]


async def output_of(command: Sequence[str], timeout_s: float) -> str:
    """Run a program of the load to its end, and return what it printed. Raises DriveError."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(timeout_s):
            said, complaint = await process.communicate()
    except TimeoutError:
        raise DriveError(f"{Path(command[0]).name} had not ended after {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        last = last_line(complaint.decode(errors="replace")) or "it said nothing"
        raise DriveError(f"{Path(command[0]).name} ended with status {process.returncode}: {last}")
    return said.decode(errors="replace")
