"""`python -m loadtest compare`: the options, the run, the report.

Exit status 1 when a bar was missed, or something that is here could not be measured; 2 when there is nothing to
measure with.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import uvloop

from loadtest.compare import report
from loadtest.compare.accounting import Bystanders
from loadtest.compare.machine import choose_cores, this_machine
from loadtest.compare.nginx_server import nginx_version
from loadtest.compare.processes import find_program
from loadtest.compare.rounds import Cell, Plan, cells_of, measure
from loadtest.compare.scenarios import SCENARIOS
from loadtest.compare.stage import System
from loadtest.compare.systems.all import SYSTEMS
from loadtest.interpreter import this_interpreter
from loadtest.node import StartError
from loadtest.results import RESULTS, write_part

FORMATS = {"text": report.as_text, "json": report.as_json, "markdown": report.as_markdown}
INTERRUPTED = 130


def _names(known: Sequence[str], text: str) -> list[str]:
    asked = [name.strip() for name in text.split(",") if name.strip()]
    strangers = [name for name in asked if name not in known]
    if strangers or not asked:
        raise argparse.ArgumentTypeError(f"no {', '.join(strangers) or 'name'}; known are {', '.join(known)}")
    return [name for name in known if name in asked]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a whole number from 1")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Make the parser of the options."""
    made = argparse.ArgumentParser(prog="python -m loadtest compare", description="Portico beside other proxies.")
    scenarios, systems = list(SCENARIOS), list(SYSTEMS)
    made.add_argument("--only", default=scenarios, type=lambda text: _names(scenarios, text), metavar="SCENARIO,...")
    made.add_argument("--systems", default=systems, type=lambda text: _names(systems, text), metavar="SYSTEM,...")
    made.add_argument("--rounds", default=5, type=_positive)
    made.add_argument("--seconds", default=4, type=_positive, help="of load in each round")
    made.add_argument("--connections", default=10_000, type=_positive, help="left idle in the scenario of that name")
    made.add_argument("--output", default="text", choices=FORMATS)
    made.add_argument("--write-results", action="store_true", help=f"write {RESULTS.parent.name}/{RESULTS.name} too")
    return made


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    options = parser().parse_args(argv)
    missing = [name for name, found in (("nginx", nginx_version()), ("wrk", find_program("wrk"))) if not found]
    if missing:
        sys.stderr.write(f"compare: {' and '.join(missing)} must be on PATH: see loadtest/README.md\n")
        return 2
    try:
        run = uvloop.run(_run(options))
    except StartError as error:
        sys.stderr.write(f"compare: the origin cannot be started: {error}\n")
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("compare: interrupted; everything that was started has ended\n")
        return INTERRUPTED
    sys.stdout.write(FORMATS[options.output](run) + "\n")
    if options.write_results:
        write_part(report.as_markdown(run), RESULTS)
    return exit_status(run)


def exit_status(run: report.Run) -> int:
    """Return 1 when a bar was missed, or a system that is here has no result."""
    is_missed = any(each.verdict == "MISSED" for each in run.judged())
    return int(is_missed or not all(cell.samples for cell in run.cells))


async def _run(options: argparse.Namespace) -> report.Run:
    task = asyncio.current_task()
    assert task is not None
    # Cancelled, so that everything is ended on the way out; a shell has what it runs behind it ignore SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    cores = choose_cores(os.sched_getaffinity(0))
    asked = [SYSTEMS[name] for name in options.systems]
    versions = {system.name: system.version() for system in asked}
    here = {name: version for name, version in versions.items() if version is not None}
    systems: list[System] = [system for system in asked if system.name in here]
    cells: list[Cell] = cells_of([SCENARIOS[name] for name in options.only], systems)
    bystanders = Bystanders()
    await measure(cells, Plan(options.rounds, options.seconds, options.connections, cores), _tell)
    return report.Run(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=this_machine(cores),
        interpreter=this_interpreter(),
        bystanders=bystanders.cores(),
        rounds=options.rounds,
        seconds=options.seconds,
        versions=here,
        absent=[name for name in versions if name not in here],
        cells=cells,
    )


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
