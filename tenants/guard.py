"""Ends the processes of `portico dev` if that is killed and cannot do it itself.

    python -m tenants.guard [FOLDER] < pipe

Reads process ids, one a line, from the pipe. At its end it terminates those that still run, and after a while kills
them; then it removes the folder that they worked in. Processes are held by descriptors from the moment they are named,
so another that gets a number later is safe.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

PATIENCE_S = 8.0


def guard(names: Iterable[str]) -> None:
    """Take the process ids until they end, then end the processes."""
    held: list[int] = []
    for name in names:
        with suppress(ProcessLookupError):
            held.append(os.pidfd_open(int(name)))
    send(held, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while held and (left_s := deadline - time.monotonic()) > 0:
        ended, _, _ = select.select(held, [], [], left_s)  # a descriptor is readable when its process has ended
        held = [each for each in held if each not in ended]
    send(held, signal.SIGKILL)


def send(processes: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to the processes that still run."""
    for each in processes:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(each, number)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    guard(sys.stdin)
    for folder in sys.argv[1:]:
        shutil.rmtree(folder, ignore_errors=True)
