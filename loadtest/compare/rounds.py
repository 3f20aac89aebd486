"""Starts what is wanted, drives it round by round, each system in turn, and gathers the figures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from loadtest.compare.drives import Ground, Sample
from loadtest.compare.machine import Cores, many_files, on_core
from loadtest.compare.nginx_server import running_origin_nginx
from loadtest.compare.processes import DriveError, free_port
from loadtest.compare.scenarios import Scenario
from loadtest.compare.stage import Running, Stage, System
from loadtest.node import StartError
from store.errors import StoreError

WARM_UP_S = 1.0
TRIES = 3  # of a round, as another one's work on the machine may spoil one


@dataclass
class Cell:
    """One system in one scenario: the figures of its rounds, and what went wrong in others."""

    scenario: Scenario
    system: System
    samples: list[Sample] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure: rounds, seconds of load in each, and how many connections to leave idle."""

    rounds: int
    seconds: float
    idle: int
    cores: Cores


def cells_of(scenarios: Sequence[Scenario], systems: Sequence[System]) -> list[Cell]:
    """Pair each scenario with each system that can take part in it."""
    return [Cell(scenario, system) for scenario in scenarios for system in systems if scenario.name in system.does]


class Field:
    """The systems that are running, until the stack ends; one that several scenarios share is started once."""

    def __init__(self, stage: Stage, stack: AsyncExitStack) -> None:
        self._stage = stage
        self._stack = stack
        self._running: dict[tuple[str, int], Running] = {}
        self._folders = 0

    def _own_stage(self, system: System) -> Stage:
        self._folders += 1
        folder = self._stage.folder / f"{system.name}-{self._folders}"
        folder.mkdir()
        return replace(self._stage, folder=folder)

    @asynccontextmanager
    async def system_of(self, cell: Cell) -> AsyncIterator[Running]:
        """Yield the cell's system, which is started now if it must be. Raises StartError, StoreError."""
        system, tenants = cell.system, cell.scenario.tenants
        if cell.scenario.is_fresh:
            async with system.start(self._own_stage(system), tenants) as running:
                yield running
            return
        shared = system.name, tenants
        if shared not in self._running:
            started = system.start(self._own_stage(system), tenants)
            self._running[shared] = await self._stack.enter_async_context(started)
        yield self._running[shared]


async def measure(cells: Sequence[Cell], plan: Plan, tell: Callable[[str], None]) -> None:
    """Fill the cells. Everything that was started has ended afterwards. Raises StartError when the origin cannot be."""
    with tempfile.TemporaryDirectory(prefix="portico-") as name, many_files() as files, on_core(plan.cores.load):
        async with AsyncExitStack() as stack:
            stage = await _stage(Path(name), files, plan, stack)
            systems = Field(stage, stack)
            ground = Ground(stage, plan.seconds, plan.idle)
            for cell in cells:
                if not cell.scenario.is_fresh:
                    tell(f"starting {cell.system.name}, {cell.scenario.name}")
                    await _round(systems, cell, replace(ground, seconds=WARM_UP_S), is_kept=False)
            for number in range(1, plan.rounds + 1):
                for cell in cells:
                    tell(f"round {number} of {plan.rounds}: {cell.scenario.name}, {cell.system.name}")
                    await _tries(systems, cell, ground)


async def _stage(folder: Path, files: int, plan: Plan, stack: AsyncExitStack) -> Stage:
    origin = Stage(folder / "origin", plan.cores, 0, 0, files)
    origin.folder.mkdir()
    origin_port = await stack.enter_async_context(running_origin_nginx(origin))
    # Nobody listens there but the WebSocket load while it runs: it is the upstream as well.
    return Stage(folder, plan.cores, origin_port, free_port(), files)


async def _tries(systems: Field, cell: Cell, ground: Ground) -> None:
    for _ in range(TRIES):
        if cell.is_lost or await _round(systems, cell, ground, is_kept=True):
            return


async def _round(systems: Field, cell: Cell, ground: Ground, *, is_kept: bool) -> bool:
    """Drive a cell once; returns whether that measured something."""
    try:
        async with systems.system_of(cell) as running:
            if running.access_log is not None:
                os.truncate(running.access_log, 0)  # its lines are counted, and a run would fill a disk with them
            sample = await cell.scenario.drive(ground, running)
    except (StartError, StoreError, ExceptionGroup) as error:
        cell.faults.append(f"could not be started: {_why(error)}")
        cell.is_lost = True
    except (DriveError, OSError) as error:
        if is_kept:
            cell.faults.append(_why(error))
    else:
        if is_kept:
            cell.samples.append(sample)
        return True
    return False


def _why(error: Exception) -> str:
    first = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
    return str(first) or type(first).__name__
