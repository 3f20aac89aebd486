"""What a node is, made out of what its workers said; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.channel import Report
from edge.ops import NodeView
from edge.telemetry.metrics import Samples, merge


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker's place at one moment; `pid` is 0 while it is empty.

    `is_silent` means that the worker did not answer, and its report is an older one.
    """

    index: int
    pid: int
    age_s: float
    restarts: int
    is_silent: bool
    report: Report


@dataclass(frozen=True, slots=True)
class NodeState:
    """What the master knows of itself; `ended` are the counts of workers that are no more."""

    node: str
    pid: int
    age_s: float
    has_served: bool
    is_draining: bool
    ended: Samples


def view_of(node: NodeState, workers: Sequence[WorkerView]) -> NodeView:
    """Sum up the workers; a node is ready when all of its workers have been, and one of them still is."""
    serving = [worker for worker in workers if worker.report.state == "serving"]
    configs = [worker.report.config for worker in serving]
    is_degraded = len(serving) < len(workers) or any(
        worker.is_silent or worker.report.config.get("is_degraded") for worker in workers
    )
    status = {
        "node": node.node,
        "pid": node.pid,
        "age_s": round(node.age_s, 3),
        "state": "draining" if node.is_draining else "serving" if node.has_served else "starting",
        "revision": min((config.get("revision", 0) for config in configs), default=0),
        "config_age_s": max((config.get("config_age_s", 0.0) for config in configs), default=None),
        "degraded": is_degraded,
        "store": "up" if configs and all(config.get("is_store_up") for config in configs) else "down",
        "workers": [_worker_status(worker) for worker in workers],
    }
    return NodeView(
        is_ready=node.has_served and bool(serving),
        is_draining=node.is_draining,
        is_degraded=is_degraded,
        samples=_samples(node, workers),
        status=status,
    )


def _worker_status(worker: WorkerView) -> Mapping[str, Any]:
    return {
        "index": worker.index,
        "pid": worker.pid,
        "age_s": round(worker.age_s, 3),
        "state": worker.report.state,
        "silent": worker.is_silent,
        "restarts": worker.restarts,
        **worker.report.config,
    }


def _samples(node: NodeState, workers: Sequence[WorkerView]) -> Samples:
    states = {"ready": 0, "starting": 0, "silent": 0}
    for worker in workers:
        is_ready = worker.report.state == "serving"
        states["silent" if worker.is_silent else "ready" if is_ready else "starting"] += 1
    own: Samples = {
        "portico_worker_restarts_total": sum(worker.restarts for worker in workers),
        **{f'portico_workers{{state="{state}"}}': count for state, count in states.items()},
    }
    return merge([own, node.ended, *(worker.report.samples for worker in workers)])
