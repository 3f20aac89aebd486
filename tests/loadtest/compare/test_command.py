from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from loadtest.compare.command import exit_status, main, parser
from loadtest.compare.nginx_server import nginx_version
from loadtest.compare.processes import find_program
from loadtest.compare.report import Run
from loadtest.compare.rounds import Cell, cells_of
from loadtest.compare.scenarios import SCENARIOS
from loadtest.compare.systems.all import SYSTEMS

COMMAND = (sys.executable, "-m", "loadtest", "compare", "--only", "forward", "--rounds", "1")
needs_nginx_and_wrk = pytest.mark.skipif(
    nginx_version() is None or find_program("wrk") is None, reason="needs nginx and wrk on PATH: see loadtest/README.md"
)


@pytest.mark.parametrize(
    ("argument", "text"),
    [("--only", "forward,nonsense"), ("--systems", "apache"), ("--only", ""), ("--rounds", "0"), ("--seconds", "x")],
)
def test_an_option_that_means_nothing_is_status_2_and_says_what_would(
    argument: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        parser().parse_args([argument, text])
    assert f"argument {argument}: " in capsys.readouterr().err


def test_names_are_taken_in_the_order_of_the_report() -> None:
    options = parser().parse_args(["--only", "stream, forward", "--systems", "portico,nginx"])
    assert options.only == ["forward", "stream"]
    assert options.systems == ["nginx", "portico"]


def test_a_system_takes_part_only_in_what_it_does() -> None:
    cells = cells_of([SCENARIOS["forward"], SCENARIOS["full"]], [SYSTEMS["nginx"], SYSTEMS["portico"]])
    pairs = [(cell.scenario.name, cell.system.name) for cell in cells]
    assert pairs == [("forward", "nginx"), ("forward", "portico"), ("full", "portico")]


def test_without_nginx_or_wrk_it_is_status_2_and_they_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("loadtest.compare.processes.DAEMONS", str(tmp_path))
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("compare: nginx and wrk must be on PATH")


@pytest.mark.parametrize(("each_kib", "status"), [((6.0,), 0), ((12.0,), 0), ((12.1,), 1), ((), 1)])
def test_the_status_is_1_when_a_bar_was_missed_or_a_system_has_no_result(
    each_kib: tuple[float, ...], status: int
) -> None:
    cell = Cell(SCENARIOS["idle"], SYSTEMS["portico"], [{"each_kib": value, "memory_mib": 1.0} for value in each_kib])
    assert exit_status(Run("", "", "", 0.0, 1, 1, {}, [], [cell])) == status


@needs_nginx_and_wrk
def test_portico_alone_is_measured_by_the_command() -> None:
    options = ["--systems", "portico", "--seconds", "1", "--output", "json"]
    ended = subprocess.run([*COMMAND, *options], capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    [result] = json.loads(ended.stdout)["results"]
    assert (result["scenario"], result["system"], result["faults"]) == ("forward", "portico", [])
    median = result["median"]
    assert median["per_s"] > 10
    assert 1 < median["cpu_us"] < 100_000
    assert 0 < median["p50_ms"] <= median["p99_ms"]
    assert median["memory_mib"] > 10


@needs_nginx_and_wrk
def test_a_run_that_is_interrupted_ends_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    deaf = ("sh", "-c", 'trap "" INT && exec "$@"', "sh")  # as a shell starts what it runs behind it
    command = [*deaf, *COMMAND, "--systems", "nginx,portico", "--seconds", "50"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as run:
        assert run.stderr is not None
        said: list[bytes] = []
        while not any(b"round 1" in line for line in said):
            said.append(run.stderr.readline())
            assert said[-1], b"".join(said).decode()
        started = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGINT)
        _, rest = run.communicate(timeout=45)
        assert run.returncode == 130, rest.decode()
    names = {process.name() for process in started if process.is_running()}
    assert len(started) >= 4  # two of the origin, two of nginx, and mostly Redis and the edge's
    assert not names
    assert not list(tmp_path.iterdir())
