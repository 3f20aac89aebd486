"""What `portico dev` starts, it ends; and when dev itself is killed, the guard does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tenants.children import Child, ChildEnded, Children, Program

ORIGIN = Program("sample", "loadtest.origin", ("--listen", "127.0.0.1:0"), {}, "listens on http://")
HASTY = Program("hasty one", "loadtest.origin", ("--listen", "nonsense"), {}, "listens on http://")

# A stand-in for dev: starts the guard and one child, says their process ids, and waits to be killed.
DEV = """
import asyncio, pathlib, sys
from tenants.children import Children, Program
async def main():
    children = Children(pathlib.Path(sys.argv[1]))
    await children.start_guard()
    child = await children.start(Program("c", "loadtest.origin", ("--listen", "127.0.0.1:0"), {}, "listens"))
    await child.ready()
    print(child.process.pid, children._guard.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    started = Children(tmp_path)
    yield started
    await started.stop()


async def start(children: Children, program: Program) -> Child:
    await children.start_guard()
    return await children.start(program)


async def test_a_child_is_ready_once_it_says_so(children: Children) -> None:
    child = await start(children, ORIGIN)
    assert "http://127.0.0.1:" in await child.ready()


async def test_a_child_that_cannot_start_is_named_with_its_last_words(children: Children) -> None:
    child = await start(children, HASTY)
    with pytest.raises(ChildEnded, match=r"the hasty one has ended: .*expected HOST:PORT"):
        await child.ready()


async def test_a_child_that_ends_by_itself_is_noticed(children: Children) -> None:
    child = await start(children, ORIGIN)
    await child.ready()
    watching = asyncio.create_task(children.any_ended())
    child.process.kill()
    with pytest.raises(ChildEnded, match="the sample has ended"):
        await watching


async def test_stopping_ends_every_child_in_good_order_and_the_guard(children: Children) -> None:
    others = psutil.Process().children()
    child = await start(children, ORIGIN)
    await child.ready()
    started = [each for each in psutil.Process().children() if each not in others]
    assert len(started) == 2
    await children.stop()
    assert child.process.returncode == 0
    assert not [each for each in started if each.is_running()]


async def test_a_child_is_out_of_reach_of_the_terminals_ctrl_c(children: Children) -> None:
    child = await start(children, ORIGIN)
    assert os.getpgid(child.process.pid) != os.getpgid(0)


def test_when_the_parent_is_killed_the_guard_ends_its_children_and_goes(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", DEV, str(tmp_path)], stdout=subprocess.PIPE, text=True) as dev:
        assert dev.stdout is not None
        left = [psutil.Process(int(pid)) for pid in dev.stdout.readline().split()]
        assert len(left) == 2
        dev.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(left, timeout=30)
    assert not alive
