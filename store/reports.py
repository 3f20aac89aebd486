"""What workers say of themselves, and what that means for one revision. Pure, no I/O."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from store.codec import CodecError, pack_fields, unpack_fields
from store.head import Head

LIVE_MS = 3_000
MAX_REFUSALS = 100
MAX_TEXT_CHARS = 500
CLOCK = struct.Struct(">Q")


@dataclass(frozen=True)
class Refusal:
    """A tenant that a worker could not take over at a revision.

    `serving` is the revision of the document it serves instead, 0 when it has none that can be used.
    """

    tenant: str
    revision: int
    reason: str
    worker_id: str = ""
    serving: int = 0


@dataclass(frozen=True)
class WorkerReport:
    """A worker's state. `worker_id` is "node/index/pid"; times are Unix ms, `reported_at_ms` by Redis' clock."""

    worker_id: str
    node: str
    pid: int
    epoch: str
    revision: int
    started_at_ms: int
    reported_at_ms: int = 0
    refused: tuple[Refusal, ...] = ()
    last_error: str | None = None
    is_following: bool = True
    """False while what the store holds cannot be what came after this worker's revision."""

    def is_live(self, now_ms: int) -> bool:
        """Whether it was heard of within the last 3 s of Redis' clock."""
        return self.reported_at_ms > now_ms - LIVE_MS

    def is_within(self, head: Head) -> bool:
        """Whether it is in this data at all; read the head after the report, which may not be ahead of it."""
        return self.is_following and self.epoch == head.epoch and self.revision <= head.revision


@dataclass(frozen=True)
class FleetState:
    """How far the live workers are with one revision: applied + refusing + lagging = workers."""

    revision: int
    applied: int
    workers: int
    lagging: tuple[str, ...]
    refused: tuple[Refusal, ...]

    @property
    def is_settled(self) -> bool:
        """Whether nobody is to be waited for."""
        return not self.lagging


def fleet_state(
    reports: Iterable[WorkerReport], revision: int, now_ms: int, head: Head, tenant: str | None = None
) -> FleetState:
    """Say how far the live workers are with a revision.

    A worker that does not follow the store has not applied it, whatever its number says: it lags. Without `tenant`
    only refusals of exactly this revision count; with it, those of that tenant from this revision on (a worker that
    was handed two commits at once refuses the later one).
    """
    applied, lagging, refused, workers = 0, [], [], 0
    for report in sorted(reports, key=lambda each: each.worker_id):
        if not report.is_live(now_ms):
            continue
        workers += 1
        if report.revision < revision or not report.is_within(head):
            lagging.append(report.worker_id)
            continue
        own = [each for each in report.refused if _concerns(each, revision, tenant)]
        refused += own
        applied += not own
    return FleetState(revision, applied, workers, tuple(lagging), tuple(refused))


def encode_report(report: WorkerReport) -> bytes:
    """Return the bytes of a report, its lists and texts bounded."""
    refused = tuple(replace(each, reason=each.reason[:MAX_TEXT_CHARS]) for each in report.refused[:MAX_REFUSALS])
    last_error = report.last_error[:MAX_TEXT_CHARS] if report.last_error else None
    return pack_fields(asdict(replace(report, refused=refused, last_error=last_error)))


def decode_report(value: bytes) -> WorkerReport | None:
    """Read a kept report (Redis' clock, then its bytes); None for what is none, as another version's may be."""
    try:
        reported_at_ms = CLOCK.unpack_from(value)[0]
        found = unpack_fields(value[CLOCK.size :])
        worker_id = found["worker_id"]
        refused = tuple(Refusal(**{**each, "worker_id": worker_id}) for each in found["refused"])
        return WorkerReport(**{**found, "reported_at_ms": reported_at_ms, "refused": refused})
    except (struct.error, CodecError, KeyError, TypeError):
        return None


def _concerns(refusal: Refusal, revision: int, tenant: str | None) -> bool:
    if tenant is None:
        return refusal.revision == revision
    return refusal.tenant == tenant and refusal.revision >= revision
