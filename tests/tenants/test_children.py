"""What `portico dev` starts, it ends; and when dev itself is killed, the guard does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from tenants.children import Child, ChildEnded, Children, Program
from tests.fakes.waiting import until

ORIGIN = Program("sample", "loadtest.origin", ("--listen", "127.0.0.1:0"), {}, "listens on http://")
SPEAKER = """
import sys
print('said to be served: {"an": "access log"}', flush=True)
print("portico speaker: listens on nothing", file=sys.stderr)
print(*sys.argv[2:], sep="\\n", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
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


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until it is ended."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as process:
        yield process
        process.kill()


async def start(children: Children, program: Program) -> Child:
    await children.start_guard()
    return await children.start(program)


async def test_a_child_is_ready_once_it_says_so(children: Children) -> None:
    child = await start(children, ORIGIN)
    assert "http://127.0.0.1:" in await child.ready()


async def test_a_child_that_cannot_start_is_named_with_its_last_words(children: Children) -> None:
    child = await start(children, HASTY)
    with pytest.raises(ChildEnded, match=r"the hasty one has ended with status 2: .*expected HOST:PORT"):
        await child.ready()


async def test_a_child_that_ends_by_itself_is_noticed(children: Children) -> None:
    child = await start(children, ORIGIN)
    await child.ready()
    watching = asyncio.create_task(children.any_ended())
    child.process.kill()
    with pytest.raises(ChildEnded) as ended:
        await watching
    assert str(ended.value) == "the sample was ended by signal 9 (SIGKILL)"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("3", "first", "portico speaker: cannot go on"), "the speaker has ended with status 3: cannot go on"),
        (("0", "stopping"), "the speaker has ended with status 0: stopping"),
        (("2", "2026-11-21 13:45:35,247 INFO portico.control GET /"), "the speaker has ended with status 2"),
        (("2", "cannot go on", "2026-11-21 13:45:35,247 INFO x"), "the speaker has ended with status 2: cannot go on"),
        (("1",), "the speaker has ended with status 1"),  # what it said when all was well is no reason
    ],
)
async def test_a_child_that_ends_by_itself_is_told_of_with_its_status_and_its_last_words_alone(
    children: Children, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    (tmp_path / "speaker.py").write_text(SPEAKER)
    child = await start(children, Program("speaker", "speaker", arguments, {}, "listens on", tmp_path))
    with pytest.raises(ChildEnded) as ended:
        await child.ended()
    assert str(ended.value) == told


async def test_the_end_of_a_process_that_somebody_else_started_is_noticed(
    children: Children, other: subprocess.Popen[bytes]
) -> None:
    await children.start_guard()
    children.adopt("other", other.pid, lambda: (other.wait(), "its words"))
    watching = asyncio.create_task(children.any_ended())
    await asyncio.sleep(0)
    other.terminate()
    with pytest.raises(ChildEnded) as ended:
        await watching
    assert str(ended.value) == "the other was ended by signal 15 (SIGTERM)"
    with pytest.raises(ChildEnded, match="the other"):  # it had ended before anybody asked
        await children.any_ended()


async def test_when_the_guard_is_killed_that_is_noticed_too(children: Children) -> None:
    child = await start(children, ORIGIN)
    await child.ready()
    watching = asyncio.create_task(children.any_ended())
    [guard] = [each for each in psutil.Process().children() if "tenants.guard" in each.cmdline()]
    guard.kill()
    with pytest.raises(ChildEnded, match=r"the guard was ended by signal 9"):
        await watching


async def test_waiting_for_an_end_leaves_no_descriptor_behind_when_it_is_given_up(
    children: Children, other: subprocess.Popen[bytes]
) -> None:
    await children.start_guard()
    before = psutil.Process().num_fds()
    children.adopt("other", other.pid, lambda: (other.wait(), ""))
    watching = asyncio.create_task(children.any_ended())
    await until(lambda: psutil.Process().num_fds() > before)
    watching.cancel()
    await asyncio.wait([watching])
    assert psutil.Process().num_fds() == before


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
