"""What the fleet made of a write: told by workers that report as the edge's do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from store.client import connect
from store.embedded import RedisProcess
from store.feed import Feed
from store.fleet import Fleet, Refusal, WorkerReport
from store.secrets import parse_api_key
from tests.fakes.timing import within
from tests.tenants.plane import Plane, document, running_plane


class Worker:
    """Stands in for an edge worker: reports through the same store.Fleet, serves nothing."""

    def __init__(self, fleet: Fleet, index: int, epoch: str) -> None:
        self.id = f"node-1/{index}/{4000 + index}"
        self._epoch = epoch
        self._fleet = fleet
        self._index = index

    async def report(self, revision: int, refused: tuple[Refusal, ...] = (), last_error: str | None = None) -> None:
        """Report this revision as applied."""
        report = WorkerReport(
            worker_id=self.id,
            node="node-1",
            pid=4000 + self._index,
            epoch=self._epoch,
            revision=revision,
            started_at_ms=1_800_000_000_000,
            refused=refused,
            last_error=last_error,
        )
        await self._fleet.report(report)


@pytest.fixture
async def workers(acme: Plane) -> AsyncIterator[list[Worker]]:
    """Two workers that have applied everything so far."""
    async with connect(acme.redis_url, "feed") as client:
        head = await acme.catalog.head()
        pair = [Worker(Fleet(client), index, head.epoch) for index in range(2)]
        for worker in pair:
            await worker.report(head.revision)
        yield pair


async def revisions(plane: Plane, after: int = 0) -> AsyncGenerator[int, None]:
    """Every head revision beyond `after`, as soon as the feed tells of it."""
    async with connect(plane.redis_url, "feed") as client, aclosing(Feed(client, poll_s=0.1).wake_ups()) as wake_ups:
        async for _ in wake_ups:
            head = (await plane.catalog.head()).revision
            if head > after:
                after = head
                yield head


@asynccontextmanager
async def following(plane: Plane, *workers: Worker) -> AsyncIterator[None]:
    """Workers that report each revision as soon as they hear of it."""

    async def follow() -> None:
        async with aclosing(revisions(plane)) as found:
            async for revision in found:
                for worker in workers:
                    await worker.report(revision)

    task = asyncio.create_task(follow())
    try:
        yield
    finally:
        while not task.done():  # a cancellation can be lost inside redis-py on Python 3.11 (asyncio.wait_for)
            task.cancel()
            await asyncio.wait([task], timeout=0.1)


async def test_a_write_is_answered_when_every_worker_has_it(acme: Plane, workers: list[Worker]) -> None:
    async with following(acme, *workers):
        async with within(2):
            answer = await acme.ask("PUT", "/v1/tenants/acme?wait=fleet&timeout=10s", document(name="New"))
    assert answer.status == 200
    fleet = {name: answer.body[name] for name in ("applied", "workers", "lagging", "refused")}
    assert fleet == {"applied": 2, "workers": 2, "lagging": [], "refused": []}
    assert answer.body["revision"] == (await acme.catalog.head()).revision


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "", {"name": "New"}, 200),
        ("POST", "/domains", {"host": "new.test"}, 201),
        ("POST", "/domains/a.test/verify", None, 200),
        ("DELETE", "/domains/a.test", None, 200),
        ("POST", "/keys", {"name": "k"}, 201),
        ("POST", "/rollback", {"revision": 1}, 200),
        ("DELETE", "", None, 200),
    ],
)
async def test_any_write_may_wait_for_the_fleet(
    acme: Plane, workers: list[Worker], method: str, path: str, body: object, status: int
) -> None:
    await acme.put("acme", domains=["a.test"])
    async with following(acme, *workers):
        answer = await acme.ask(method, f"/v1/tenants/acme{path}?wait=fleet&timeout=10s", body)
    assert answer.status == status
    assert (answer.body["applied"], answer.body["workers"], answer.body["lagging"]) == (2, 2, [])


async def test_a_key_and_a_token_revoked_are_answered_when_every_worker_has_it(
    acme: Plane, workers: list[Worker]
) -> None:
    key = (await acme.ask("POST", "/v1/tenants/acme/keys", {"name": "k"})).body["id"]
    async with following(acme, *workers):
        removed = await acme.ask("DELETE", f"/v1/tenants/acme/keys/{key}?wait=fleet")
        token = await acme.ask("POST", "/v1/tokens?wait=fleet", {"name": "t", "tenant": "acme"})
        revoked = await acme.ask("DELETE", f"/v1/tokens/{token.body['id']}?wait=fleet")
    assert removed.body["applied"] == token.body["applied"] == revoked.body["applied"] == 2
    assert removed.body["revision"] == revoked.body["revision"] == (await acme.catalog.head()).revision


async def test_a_worker_that_lags_is_named_after_the_time_asked_for_and_the_answer_is_200(
    acme: Plane, workers: list[Worker]
) -> None:
    async with following(acme, workers[0]):
        started_s = time.perf_counter()
        async with within(1.5):
            answer = await acme.ask("PUT", "/v1/tenants/acme?wait=fleet&timeout=300ms", document(name="New"))
        took_s = time.perf_counter() - started_s
    assert answer.status == 200
    assert (answer.body["applied"], answer.body["workers"]) == (1, 2)
    assert answer.body["lagging"] == [workers[1].id]
    assert took_s >= 0.3


async def test_a_worker_that_refuses_is_named_with_its_reason(acme: Plane, workers: list[Worker]) -> None:
    before = (await acme.catalog.head()).revision
    asked = asyncio.create_task(acme.ask("PUT", "/v1/tenants/acme?wait=fleet&timeout=10s", document(name="New")))
    async with aclosing(revisions(acme, before)) as found:
        head = await anext(found)
    await workers[0].report(head)
    await workers[1].report(head, (Refusal("acme", head, "it does not compile", serving=before),))
    answer = await asked
    assert answer.status == 200
    assert (answer.body["applied"], answer.body["workers"], answer.body["lagging"]) == (1, 2, [])
    assert answer.body["refused"] == [
        {
            "worker": workers[1].id,
            "tenant": "acme",
            "revision": head,
            "reason": "it does not compile",
            "serving": before,
        }
    ]


async def test_without_workers_nobody_is_waited_for(acme: Plane) -> None:
    async with within(2):
        answer = await acme.ask("PUT", "/v1/tenants/acme?wait=fleet&timeout=10s", document(name="New"))
    assert (answer.body["applied"], answer.body["workers"], answer.body["lagging"]) == (0, 0, [])


async def test_without_wait_nothing_is_said_of_the_fleet(acme: Plane, workers: list[Worker]) -> None:
    answer = await acme.ask("PUT", "/v1/tenants/acme", document(name="New"))
    assert set(answer.body) == {"tenant", "revision", "created", "changed", "dry_run"}


async def test_nodes_are_listed_with_their_lag_and_what_they_refused(acme: Plane, workers: list[Worker]) -> None:
    await acme.put("acme", name="New")
    head = (await acme.catalog.head()).revision
    await workers[0].report(head, (Refusal("acme", head, "it does not compile"),), last_error="acme: no")
    nodes = (await acme.get("/v1/nodes")).body
    assert nodes["revision"] == head
    first, second = nodes["workers"]
    assert (first["worker"], first["node"], first["pid"]) == (workers[0].id, "node-1", 4000)
    assert (first["revision"], first["lag"], first["last_error"]) == (head, 0, "acme: no")
    [refused] = first["refused"]
    assert (refused["reason"], refused["serving"]) == ("it does not compile", None)
    assert (second["revision"], second["lag"], second["refused"]) == (head - 1, 1, [])


async def test_a_worker_that_left_is_not_listed(acme: Plane, workers: list[Worker]) -> None:
    await acme.fleet.leave(workers[0].id)
    nodes = (await acme.get("/v1/nodes")).body
    assert [worker["worker"] for worker in nodes["workers"]] == [workers[1].id]


async def test_the_audit_trail_says_who_did_what_newest_first(acme: Plane) -> None:
    token = await acme.token_of("acme")
    await acme.ask("PATCH", "/v1/tenants/acme", {"name": "By the tenant"}, token=token)
    await acme.ask("POST", "/v1/tenants/acme/keys", {"name": "k"}, token=token)
    entries = (await acme.get("/v1/audit")).body["items"]
    assert [entry["action"] for entry in entries] == ["key.create", "tenant.patch", "token.create", "tenant.put"]
    record = (await acme.catalog.list_tokens())[0]
    assert [entry["actor"] for entry in entries] == [f"tenant:{record.id}"] * 2 + ["operator:bootstrap"] * 2
    assert all(entry["tenant"] == "acme" for entry in entries)
    assert entries[1]["detail"] == {"changed": ["name"]}
    first = (await acme.get("/v1/audit?limit=3")).body
    rest = (await acme.get("/v1/audit", params={"limit": "3", "cursor": first["cursor"]})).body
    assert [entry["id"] for entry in first["items"] + rest["items"]] == [entry["id"] for entry in entries]
    assert rest["cursor"] is None


async def test_what_is_refused_leaves_no_audit_entry(acme: Plane) -> None:
    count = len((await acme.get("/v1/audit")).body["items"])
    await acme.ask("PUT", "/v1/tenants/acme", {"routes": 5})
    await acme.ask("PUT", "/v1/tenants/acme?dry_run=true", document(name="New"))
    await acme.ask("PUT", "/v1/tenants/acme", document(), headers={"If-Match": '"999"'})
    assert len((await acme.get("/v1/audit")).body["items"]) == count


async def test_a_tenant_is_told_of_its_own_troubles_and_of_nobody_elses(acme: Plane, workers: list[Worker]) -> None:
    token = await acme.token_of("acme")
    before = (await acme.catalog.head()).revision
    path = "/v1/tenants/acme?wait=fleet&timeout=10s"
    asked = asyncio.create_task(acme.ask("PUT", path, document(name="New"), token=token))
    async with aclosing(revisions(acme, before)) as found:
        head = await anext(found)
    others, own = Refusal("beta", head, "theirs"), Refusal("acme", head, "ours")
    await workers[0].report(head, (others,))
    await workers[1].report(head, (others, own))
    answer = await asked
    assert [one["reason"] for one in answer.body["refused"]] == ["ours"]
    assert answer.body["applied"] == 1
    assert "beta" not in str(answer.body)


async def test_a_write_that_is_done_is_not_taken_back_when_the_fleet_cannot_be_asked(own_redis: RedisProcess) -> None:
    async with running_plane(own_redis.url) as plane:
        await plane.put("acme")
        await Worker(plane.fleet, 0, "e").report(0)
        before = (await plane.catalog.head()).revision
        path = "/v1/tenants/acme/keys?wait=fleet&timeout=1s"
        asked = asyncio.create_task(plane.ask("POST", path, {"name": "shown only now"}))
        async with aclosing(revisions(plane, before)) as found:
            await anext(found)
        own_redis.stop()
        answer = await asked
    assert answer.status == 201
    assert parse_api_key(answer.body["secret"]) is not None
    assert "cannot be reached" in answer.body["wait_error"]
    assert "applied" not in answer.body
