from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest

from edge import slot as slot_module
from edge.master import Master
from edge.ops import NodeView
from edge.slot import WorkerStartError, next_pause_s
from edge.sockets import address_of, bind_for_workers
from edge.worker_process import start_worker
from store.setting_values import Address
from tests.fakes.timing import within


class RunningNode:
    """A master with scripted workers, and the port they share."""

    def __init__(self, workers: int, grace_s: float, flags: dict[str, Any]) -> None:
        sockets = bind_for_workers([Address("127.0.0.1", 0)], workers)
        self.port = address_of(sockets[0][0]).port
        start = partial(start_worker, flags=flags, module="tests.fakes.scripted_worker")
        self.master = Master("here", sockets, start, grace_s)
        self.running = asyncio.create_task(self.master.run())

    async def pids(self) -> list[int]:
        """The workers' process ids, by their places; 0 for an empty one."""
        return [worker["pid"] for worker in (await self.master.view()).status["workers"]]

    async def until(self, wanted: str) -> NodeView:
        """Look until an expression about `view` and its `workers` holds."""
        while True:
            view = await self.master.view()
            if eval(wanted, {"view": view, "workers": view.status["workers"]}):
                return view
            await asyncio.sleep(0.02)

    async def who(self) -> int:
        """Connect and return the process that answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            return int(await reader.read())
        finally:
            writer.close()


@asynccontextmanager
async def running_node(workers: int = 2, grace_s: float = 5.0, **flags: Any) -> AsyncIterator[RunningNode]:
    node = RunningNode(workers, grace_s, flags)
    try:
        yield node
    finally:
        node.master.stop()
        node.master.stop()
        with suppress(WorkerStartError):
            await node.running


async def test_every_worker_serves_and_the_view_sums_them_up() -> None:
    async with running_node() as node:
        await node.master.served()
        view = await node.master.view()
        assert (view.is_ready, view.is_draining, view.is_degraded) == (True, False, False)
        assert view.samples["portico_connections_total"] == 20
        assert view.status["revision"] == 7  # the lowest of 7 and 8
        assert view.status["store"] == "up"
        assert len(set(await node.pids())) == 2
        assert {await node.who() for _ in range(40)} == set(await node.pids())


async def test_a_killed_worker_is_followed_by_another_on_the_same_socket() -> None:
    async with running_node(workers=1) as node:
        await node.master.served()
        [killed] = await node.pids()
        os.kill(killed, signal.SIGKILL)
        # A connection made while nobody accepts waits in the socket, which the master holds.
        successor = await node.who()
        assert successor != killed
        view = await node.until("workers[0]['restarts'] == 1 and workers[0]['state'] == 'serving'")
        assert view.status["workers"][0]["pid"] == successor
        assert view.samples["portico_worker_restarts_total"] == 1


async def test_what_a_dead_worker_counted_stays_counted_and_its_gauges_do_not() -> None:
    async with running_node(workers=1) as node:
        await node.master.served()
        seen = [(await node.master.view()).samples["portico_connections_total"]]
        [pid] = await node.pids()
        os.kill(pid, signal.SIGKILL)
        while seen[-1] < 20:
            seen.append((await node.master.view()).samples["portico_connections_total"])
        assert sorted(seen) == seen
        assert set(seen) == {10, 20}
        assert (await node.master.view()).samples["portico_connections_open"] == 1


async def test_a_worker_that_says_nothing_is_reported_as_silent_and_not_waited_for() -> None:
    async with running_node(act_0="freeze") as node:
        await node.master.served()
        async with within(2):
            view = await node.master.view()
        assert [worker["silent"] for worker in view.status["workers"]] == [True, False]
        assert view.is_degraded
        assert view.is_ready
        assert view.samples['portico_workers{state="silent"}'] == 1
        assert view.samples["portico_connections_total"] == 20


async def test_a_worker_that_stays_silent_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot_module, "SILENCE_S", 0.2)
    async with running_node(workers=1, act="freeze") as node:
        await node.master.served()
        [frozen] = await node.pids()
        view = await node.until("workers[0]['restarts'] >= 1 and workers[0]['pid']")  # its successor freezes too
        assert view.status["workers"][0]["pid"] != frozen


async def test_a_worker_that_babbles_is_killed_and_followed() -> None:
    async with running_node(workers=1, act="babble") as node:
        await node.until("workers[0]['restarts'] >= 2")


async def test_a_worker_that_cannot_start_ends_the_node_with_its_reason() -> None:
    async with running_node(act_1="fault") as node:
        with pytest.raises(WorkerStartError, match="the moon is in the way"):
            await node.running


async def test_a_worker_that_dies_young_is_followed_more_slowly_each_time() -> None:
    async with running_node(workers=1, act="die") as node:
        view = await node.until("workers[0]['restarts'] == 3")
        assert view.samples["portico_connections_total"] == 30


@pytest.mark.parametrize(
    ("pause_s", "lived_s", "expected"),
    [(0.0, 0.1, 0.1), (0.1, 0.1, 0.2), (4.0, 1.0, 5.0), (5.0, 4.9, 5.0), (5.0, 5.0, 0.0), (0.0, 3600.0, 0.0)],
)
def test_the_pause_before_a_successor_doubles_up_to_a_bound(pause_s: float, lived_s: float, expected: float) -> None:
    assert next_pause_s(pause_s, lived_s) == expected


async def test_a_drain_says_so_refuses_new_connections_and_ends() -> None:
    async with running_node() as node:
        await node.master.served()
        node.master.stop()
        await node.running
        view = await node.master.view()
        assert view.is_draining
        assert view.samples["portico_connections_total"] == 20
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", node.port), timeout=5)


async def test_a_worker_that_does_not_drain_is_killed_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.master.DRAIN_SLACK_S", 0.1)
    async with running_node(act_0="linger", grace_s=0.2) as node:
        await node.master.served()
        node.master.stop()
        await node.running


async def test_a_second_stop_does_not_wait_for_the_grace() -> None:
    async with running_node(act_0="linger", grace_s=600) as node:
        await node.master.served()
        node.master.stop()
        await asyncio.sleep(0)
        assert (await node.master.view()).is_draining
        node.master.stop()
        await node.running


async def test_a_rolling_replacement_leaves_no_worker_in_place_and_refuses_no_connection() -> None:
    async with running_node() as node:
        await node.master.served()
        before = set(await node.pids())
        node.master.roll()
        answered = 0
        while before & set(await node.pids()):
            await node.who()
            answered += 1
        assert answered
        view = await node.until("all(worker['state'] == 'serving' for worker in workers)")
        assert view.samples["portico_worker_restarts_total"] == 0


async def test_a_node_stopped_while_it_starts_leaves_no_process_behind() -> None:
    node = RunningNode(2, 5.0, {})
    await asyncio.sleep(0)  # the workers are being started
    node.master.stop()
    await node.running
    assert await node.pids() == [0, 0]
