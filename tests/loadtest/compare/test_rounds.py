from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from loadtest.compare.drives import Ground, Sample
from loadtest.compare.machine import choose_cores
from loadtest.compare.nginx_server import nginx_version
from loadtest.compare.processes import DriveError
from loadtest.compare.rounds import TRIES, Cell, Plan, measure
from loadtest.compare.scenarios import IDLE, Scenario
from loadtest.compare.stage import Running, Stage, System
from loadtest.node import StartError

PLAN = Plan(3, 0.1, 1, choose_cores(os.sched_getaffinity(0)))
pytestmark = pytest.mark.skipif(nginx_version() is None, reason="needs nginx on PATH: see loadtest/README.md")


class Script:
    """A system that only remembers what is done with it; drives that fail when they are told to."""

    def __init__(self, *failing: int, is_broken: bool = False) -> None:
        self.told: list[str] = []
        self._failing = failing
        self._is_broken = is_broken
        self._drives = 0

    def cell(self, name: str, *, is_fresh: bool = False) -> Cell:
        scenario = Scenario(name, "", "", 0, IDLE, self.drive, is_fresh)
        return Cell(scenario, System(name, frozenset({name}), lambda: "1", self.start))

    @asynccontextmanager
    async def start(self, _stage: Stage, _tenants: int) -> AsyncIterator[Running]:
        self.told.append("start")
        if self._is_broken:
            raise StartError("it would not")
        yield Running(os.getpid(), 1)
        self.told.append("end")

    async def drive(self, _ground: Ground, _running: Running) -> Sample:
        self._drives += 1
        self.told.append("drive")
        if self._drives in self._failing:
            raise DriveError("it broke")
        return {"each_kib": float(self._drives)}


async def test_rounds_go_from_system_to_system_and_each_is_started_once() -> None:
    script, said = Script(), list[str]()
    cells = [script.cell("a"), script.cell("b")]
    await measure(cells, PLAN, said.append)
    assert script.told == ["start", "drive"] * 2 + ["drive"] * 6 + ["end"] * 2
    assert [line.rpartition(" ")[2] for line in said[2:]] == ["a", "b"] * 3
    assert [cell.samples for cell in cells] == [
        [{"each_kib": n} for n in (3, 5, 7)],
        [{"each_kib": n} for n in (4, 6, 8)],
    ]


async def test_a_fresh_system_is_started_for_each_round_and_not_warmed_up() -> None:
    script = Script()
    await measure([script.cell("a", is_fresh=True)], PLAN, lambda _line: None)
    assert script.told == ["start", "drive", "end"] * 3


async def test_a_spoiled_round_is_told_and_tried_again_but_not_for_ever() -> None:
    script = Script(2, *range(4, 4 + TRIES))  # the first drive is the warm-up
    cell = script.cell("a")
    await measure([cell], PLAN, lambda _line: None)
    assert [sample["each_kib"] for sample in cell.samples] == [3.0, 4.0 + TRIES]
    assert cell.faults == ["it broke"] * (1 + TRIES)


async def test_a_system_that_does_not_start_is_tried_once_and_stops_nobody_else() -> None:
    broken, script = Script(is_broken=True), Script()
    cells = [broken.cell("a"), script.cell("b")]
    await measure(cells, PLAN, lambda _line: None)
    assert (broken.told, cells[0].faults) == (["start"], ["could not be started: it would not"])
    assert len(cells[1].samples) == PLAN.rounds
