"""store/reports.py: what the workers' reports mean for one revision."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from store.codec import pack_fields
from store.head import Head
from store.reports import (
    LIVE_MS,
    MAX_REFUSALS,
    MAX_TEXT_CHARS,
    Refusal,
    WorkerReport,
    decode_report,
    encode_report,
    fleet_state,
)

NOW_MS = 1_000_000


def a_report(worker_id: str, revision: int, *refused: Refusal, age_ms: int = 0) -> WorkerReport:
    return WorkerReport(worker_id, "node", 1, "epoch", revision, 5, NOW_MS - age_ms, refused)


def a_refusal(tenant: str, revision: int) -> Refusal:
    return Refusal(tenant, revision, "bad pattern", "w")


@pytest.mark.parametrize(
    ("reports", "tenant", "applied", "workers", "lagging", "refused"),
    [
        ([], None, 0, 0, (), ()),
        ([a_report("a", 7), a_report("b", 9)], None, 2, 2, (), ()),
        ([a_report("b", 6), a_report("a", 6), a_report("c", 7)], None, 1, 3, ("a", "b"), ()),
        ([a_report("a", 6, age_ms=LIVE_MS), a_report("b", 7, age_ms=LIVE_MS - 1)], None, 1, 1, (), ()),
        ([a_report("a", 7, a_refusal("acme", 7))], None, 0, 1, (), (a_refusal("acme", 7),)),
        ([a_report("a", 7, a_refusal("acme", 3))], None, 1, 1, (), ()),
        ([a_report("a", 9, a_refusal("acme", 9))], None, 1, 1, (), ()),
        ([a_report("a", 9, a_refusal("acme", 9))], "acme", 0, 1, (), (a_refusal("acme", 9),)),
        ([a_report("a", 9, a_refusal("acme", 6))], "acme", 1, 1, (), ()),
        ([a_report("a", 9, a_refusal("globex", 9))], "acme", 1, 1, (), ()),
        ([a_report("a", 6, a_refusal("acme", 7))], "acme", 0, 1, ("a",), ()),
        ([a_report("a", 10)], None, 0, 1, ("a",), ()),
        ([replace(a_report("a", 9), is_following=False)], None, 0, 1, ("a",), ()),
        ([replace(a_report("a", 9), epoch="another")], None, 0, 1, ("a",), ()),
    ],
)
def test_every_live_worker_has_applied_refused_or_is_named(
    reports: list[WorkerReport],
    tenant: str | None,
    applied: int,
    workers: int,
    lagging: tuple[str, ...],
    refused: tuple[Refusal, ...],
) -> None:
    state = fleet_state(reports, 7, NOW_MS, Head("epoch", 9), tenant)
    assert (state.applied, state.workers, state.lagging, state.refused) == (applied, workers, lagging, refused)
    assert state.is_settled is (not lagging)


def test_a_report_survives_its_bytes_with_redis_time_and_the_workers_name_on_refusals() -> None:
    report = WorkerReport("n/0/1", "n", 1, "e", 7, 5, 0, (Refusal("acme", 7, "why"),), "oops")
    kept = decode_report(struct.pack(">Q", 99) + encode_report(report))
    assert kept == WorkerReport("n/0/1", "n", 1, "e", 7, 5, 99, (Refusal("acme", 7, "why", "n/0/1"),), "oops")


def test_a_report_is_bounded_however_much_there_is_to_tell() -> None:
    refused = tuple(Refusal(f"t{n}", n, "x" * 10_000) for n in range(1_000))
    packed = encode_report(WorkerReport("w", "n", 1, "e", 7, 5, 0, refused, "y" * 100_000))
    assert len(packed) < (MAX_REFUSALS + 1) * (MAX_TEXT_CHARS + 100)


@pytest.mark.parametrize(
    "value", [b"", b"short", b"\x00" * 8, b"\x00" * 8 + pack_fields({}), b"\x00" * 8 + pack_fields({"worker_id": 1})]
)
def test_what_is_no_report_is_left_out(value: bytes) -> None:
    assert decode_report(value) is None
