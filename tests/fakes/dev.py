"""A running `portico dev`, on free ports, with what it has printed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.fakes.source import ROOT

FREE_PORTS = ("--port", "0", "--admin-port", "0", "--ops-port", "0", "--origin-port", "0")
LAST_LINE = "  ops        http://"
STOP_TIMEOUT_S = 40


@dataclass
class RunningDev:
    """Its process and what it printed."""

    process: subprocess.Popen[str]
    printed: str

    def commands(self, word: str) -> list[str]:
        """The printed lines to type that begin with this word."""
        return [line.strip() for line in self.printed.splitlines() if line.startswith(f"  {word} ")]

    def port(self, of: str) -> str:
        """The port in the first printed address with this path behind it."""
        return str(re.findall(rf"http://127\.0\.0\.1:(\d+){of}", self.printed)[0])

    @property
    def token(self) -> str:
        """The operator's token."""
        return str(re.findall(r"PORTICO_TOKEN=(\S+)", self.printed)[0])

    def family(self) -> list[psutil.Process]:
        """Everything it has started, and what that has."""
        return psutil.Process(self.process.pid).children(recursive=True)


@contextmanager
def running_dev(*arguments: str, **env: str) -> Iterator[RunningDev]:
    """Start it, and end it with Ctrl-C's signal; RuntimeError with what it said when it does not start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tenants", "dev", *FREE_PORTS, *arguments],
        env={**os.environ, **env},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        printed = ""
        while LAST_LINE not in printed and (line := process.stdout.readline()):
            printed += line
        if LAST_LINE not in printed:
            raise RuntimeError(process.communicate(timeout=STOP_TIMEOUT_S)[1])
        try:
            yield RunningDev(process, printed)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=STOP_TIMEOUT_S)


def shell(script: str, folder: Path = ROOT, **env: str) -> str:
    """Run what a user types, and return what it prints; AssertionError with the error's text when it fails."""
    # The path is for a checkout that is not installed.
    env = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    command = ["bash", "-euc", script]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
