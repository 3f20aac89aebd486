from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil
import pytest

from loadtest.compare.processes import DriveError, free_port, last_line, output_of, running, until_answered
from loadtest.node import StartError
from tests.fakes.waiting import until

CORE = min(os.sched_getaffinity(0))
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo\n\n", "two"),
        ("", ""),
        ("cannot open /a/b-1/c.conf: no", "cannot open ...: no"),
        ("1/2 done", "1/2 done"),
    ],
)
def test_a_fault_is_the_last_line_without_the_places_of_a_machine(text: str, expected: str) -> None:
    assert last_line(text) == expected


async def test_a_process_that_does_not_obey_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtest.compare.processes.STOP_TIMEOUT_S", 0.1)
    log = tmp_path / "log"
    async with running([sys.executable, "-c", STUBBORN], CORE, log) as process:
        await until(lambda: log.read_text().endswith("\n"), 20)
        child = psutil.Process(int(log.read_text()))
    assert process.returncode == -9
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


async def test_a_process_that_ends_before_it_answers_is_quoted(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running([sys.executable, "-c", "raise SystemExit('no such option')"], CORE, log) as process:
        with pytest.raises(StartError, match="it ended with status 1: no such option"):
            await until_answered(process, free_port(), b"", log)


async def test_a_load_that_fails_is_a_round_that_measured_nothing() -> None:
    with pytest.raises(DriveError, match="status 1: it broke"):
        await output_of([sys.executable, "-c", "raise SystemExit('it broke')"], 20)
    with pytest.raises(DriveError, match=r"had not ended after 0\.1 s"):
        await output_of([sys.executable, "-c", "import time; time.sleep(60)"], 0.1)
