from __future__ import annotations

from typing import Any

import pytest

from edge.channel import Report, State
from edge.node_view import NodeState, WorkerView, view_of

NODE = NodeState("n1", 1, 60.0, has_served=True, is_draining=False, ended={"portico_connections_total": 5})


def worker(index: int, state: State = "serving", *, is_silent: bool = False, **config: Any) -> WorkerView:
    config = {"revision": 7, "config_age_s": 0.1, "is_store_up": True, "is_degraded": False, **config}
    return WorkerView(
        index, 100 + index, 10.0, 0, is_silent, Report(state, 0, {"portico_connections_total": 2}, config)
    )


def test_the_node_is_at_the_revision_that_all_of_its_workers_have() -> None:
    view = view_of(NODE, [worker(0, revision=9), worker(1, revision=8), worker(2, "starting", revision=0)])
    assert view.status["revision"] == 8


@pytest.mark.parametrize(
    ("workers", "is_degraded", "store"),
    [
        ([worker(0), worker(1)], False, "up"),
        ([worker(0), worker(1, is_store_up=False, is_degraded=True)], True, "down"),
        ([worker(0), worker(1, is_silent=True)], True, "up"),
        ([worker(0), worker(1, "starting")], True, "up"),
        ([worker(0), worker(1, is_degraded=True)], True, "up"),
    ],
)
def test_a_node_is_degraded_when_any_worker_is(workers: list[WorkerView], is_degraded: bool, store: str) -> None:
    view = view_of(NODE, workers)
    assert (view.is_degraded, view.status["store"]) == (is_degraded, store)
    assert view.is_ready


def test_a_node_with_no_worker_serving_is_not_ready() -> None:
    view = view_of(NODE, [worker(0, "starting"), worker(1, "draining")])
    assert not view.is_ready
    assert view.status["store"] == "down"


def test_counts_of_ended_workers_are_added_to_those_of_the_living() -> None:
    assert view_of(NODE, [worker(0), worker(1)]).samples["portico_connections_total"] == 9


def test_workers_are_counted_by_state_and_every_state_is_there() -> None:
    samples = view_of(NODE, [worker(0), worker(1, is_silent=True), worker(2)]).samples
    assert {name: value for name, value in samples.items() if name.startswith("portico_workers")} == {
        'portico_workers{state="ready"}': 2,
        'portico_workers{state="starting"}': 0,
        'portico_workers{state="silent"}': 1,
    }
