"""The live workers: each reports the revision it has applied, and whoever wrote it can wait for all of them.

Waiting is driven by the reports themselves, which are published whole: the state is read once, then kept up
to date by what is heard, so a wait costs Redis one read however many workers answer.
"""

from __future__ import annotations

import asyncio

from store import keys
from store.client import Client
from store.errors import StoreUnavailable
from store.head import Head, read_head
from store.reports import (
    LIVE_MS,
    FleetState,
    Refusal,
    WorkerReport,
    decode_report,
    encode_report,
    fleet_state,
)
from store.scripts import Argument, script
from store.subscription import Subscription

__all__ = ["Fleet", "FleetState", "Refusal", "WorkerReport"]

REMEMBER_MS = 60_000
RECHECK_S = 0.25
RECONNECT_PAUSE_S = 0.05
_HEARD, _LEFT = b"+", b"-"


class Fleet:
    """Reports of and about workers. Every method may raise StoreUnavailable and StoreRefused."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def report(self, report: WorkerReport) -> int:
        """Say that this worker lives and what it has applied; once a second, and at once after a swap.

        Returns how many workers are live. The report's `reported_at_ms` is set by Redis.
        """
        args: list[Argument] = [report.worker_id, encode_report(report), LIVE_MS, REMEMBER_MS, keys.ack_channel()]
        names = [keys.reports(), keys.heartbeats()]
        return int(await self._client.run(script("report"), names, args, is_write=True))

    async def leave(self, worker_id: str) -> None:
        """Say that this worker is gone, so that nobody waits for it."""
        names = [keys.reports(), keys.heartbeats()]
        await self._client.run(script("leave"), names, [worker_id, keys.ack_channel()], is_write=True)

    async def workers(self) -> list[WorkerReport]:
        """Return the live workers' last reports, by worker id."""
        reports, now_ms = await self._read()
        return sorted((each for each in reports.values() if each.is_live(now_ms)), key=lambda each: each.worker_id)

    async def wait(self, revision: int, timeout_s: float, tenant: str | None = None) -> FleetState:
        """Return as soon as every live worker has applied or refused `revision`, or after `timeout_s`.

        Who is not done by then is named in `lagging`. With `tenant`, refusals of that tenant at later
        revisions count too. Raises StoreUnavailable when Redis could not be asked in that time.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            try:
                return await self._follow(revision, deadline, tenant)
            except StoreUnavailable:
                if loop.time() + RECONNECT_PAUSE_S >= deadline:
                    raise
            await asyncio.sleep(RECONNECT_PAUSE_S)

    async def _follow(self, revision: int, deadline: float, tenant: str | None) -> FleetState:
        loop = asyncio.get_running_loop()
        async with Subscription(self._client, keys.ack_channel()) as subscription:
            reports, now_ms = await self._read()  # after subscribing: what is not in it will be heard
            head = await self._head()
            read_at_s = loop.time()
            while True:
                if any(report.revision > head.revision for report in reports.values()):
                    head = await self._head()  # there are later commits, or the store went back
                elapsed_ms = round((loop.time() - read_at_s) * 1000)
                state = fleet_state(reports.values(), revision, now_ms + elapsed_ms, head, tenant)
                left_s = deadline - loop.time()
                if state.is_settled or left_s <= 0:
                    return state
                # Also without a message: a worker that died is waited for only while its last report counts as live.
                for message in await subscription.next_batch(min(left_s, RECHECK_S)):
                    _hear(reports, message)

    async def _head(self) -> Head:
        return read_head(await self._client.ask("MGET", keys.epoch(), keys.revision()))

    async def _read(self) -> tuple[dict[str, WorkerReport], int]:
        now_ms, *values = await self._client.run(script("fleet"), [keys.reports()])
        reports = [report for value in values if (report := decode_report(value))]
        return {report.worker_id: report for report in reports}, int(now_ms)


def _hear(reports: dict[str, WorkerReport], message: bytes) -> None:
    kind, body = message[:1], message[1:]
    if kind == _LEFT:
        reports.pop(body.decode("utf-8", "replace"), None)
    elif kind == _HEARD and (report := decode_report(body)):
        reports[report.worker_id] = report
