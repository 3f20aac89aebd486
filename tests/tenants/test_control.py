"""The process: how it starts, how it does not, and what it says while the store is away."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
from aiohttp import ClientSession

from store import keys
from store.embedded import RedisProcess
from tests.fakes.timing import Stopwatch, within
from tests.tenants.plane import OPERATOR, Plane, document, running_plane

REPOSITORY = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def control(
    *arguments: str, env: Mapping[str, str], module: str = "tenants"
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a control plane with nothing else of ours in its environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PORTICO_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        cwd=REPOSITORY, env={**clean, **env}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def failure(*arguments: str, env: Mapping[str, str]) -> tuple[int | None, list[str]]:
    """Run a control plane that must not start; its exit status and the lines on standard error."""
    async with control(*arguments, env=env, module="tenants.control") as process:
        out, err = await process.communicate()
    assert out == b""
    return process.returncode, err.decode().splitlines()


async def test_it_serves_until_sigterm_and_then_ends_cleanly(redis_url: str) -> None:
    env = {"PORTICO_REDIS_URL": redis_url, "PORTICO_BOOTSTRAP_TOKEN": OPERATOR}
    async with control("control", "--listen", "127.0.0.1:0", env=env) as process:
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
        url = line.split()[5].rstrip(",")
        async with ClientSession(headers={"Authorization": f"Bearer {OPERATOR}"}) as session:
            async with session.put(f"{url}/v1/tenants/acme", json=document()) as answer:
                assert answer.status == 201
            async with session.get(f"{url}/readyz") as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        _, rest = await process.communicate()
        assert process.returncode == 0
        assert OPERATOR not in line + rest.decode()
        assert "Traceback" not in rest.decode()


@pytest.mark.parametrize(("min_replicas", "durable"), [("0", None), ("1", False)])
async def test_a_write_says_whether_as_many_replicas_have_it_as_were_asked_for(
    redis_url: str, min_replicas: str, durable: bool | None
) -> None:
    env = {"PORTICO_REDIS_URL": redis_url, "PORTICO_BOOTSTRAP_TOKEN": OPERATOR, "PORTICO_MIN_REPLICAS": min_replicas}
    async with control("control", "--listen", "127.0.0.1:0", env=env) as process:
        assert process.stderr is not None
        url = (await process.stderr.readline()).decode().split()[5].rstrip(",")
        async with (
            ClientSession(headers={"Authorization": f"Bearer {OPERATOR}"}) as session,
            session.put(f"{url}/v1/tenants/acme", json=document()) as answer,
        ):
            assert (await answer.json()).get("durable") is durable


async def test_a_taken_port_is_one_line_and_status_2(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        status, lines = await failure("--listen", address, env={"PORTICO_REDIS_URL": redis_url})
    assert (status, lines) == (2, [f"portico control: cannot listen on {address}: Address already in use"])


async def test_an_unreachable_redis_is_one_line_and_status_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    env = {"PORTICO_REDIS_URL": f"redis://user:a-password@127.0.0.1:{port}"}
    status, lines = await failure("--listen", "127.0.0.1:0", env=env)
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith("portico control: cannot use the store: ")
    assert "a-password" not in lines[0]


@pytest.mark.parametrize(
    ("arguments", "env", "named"),
    [
        (("--redis", "http://127.0.0.1"), {}, "--redis"),
        ((), {"PORTICO_REDIS_URL": "redis://127.0.0.1:notaport"}, "Redis"),
        (("--listen", "nowhere"), {}, "--listen"),
        ((), {"PORTICO_BOOTSTRAP_TOKEN": "short"}, "PORTICO_BOOTSTRAP_TOKEN"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_named_and_status_2(
    arguments: tuple[str, ...], env: Mapping[str, str], named: str
) -> None:
    status, lines = await failure(*arguments, env=env)
    assert status == 2
    assert len(lines) == 1
    assert named in lines[0]
    assert "short" not in lines[0]


async def test_while_redis_is_away_everything_is_503_and_afterwards_as_before(own_redis: RedisProcess) -> None:
    async with running_plane(own_redis.url) as plane:
        await plane.put("acme", domains=["a.test"])
        before = await plane.get("/v1/tenants/acme")
        own_redis.stop()
        watch = Stopwatch()
        for method, path, body in [
            ("GET", "/v1/tenants/acme", None),
            ("PUT", "/v1/tenants/acme", document(name="Lost")),
            ("PUT", "/v1/tenants/acme?wait=fleet", document(name="Lost")),
            ("PATCH", "/v1/tenants/acme", {"name": "Lost"}),
            ("DELETE", "/v1/tenants/acme", None),
            ("POST", "/v1/tenants/acme/keys", {"name": "lost"}),
            ("POST", "/v1/tokens", {"name": "lost", "kind": "operator"}),
            ("GET", "/v1/nodes", None),
            ("GET", "/readyz", None),
        ]:
            refused = await plane.ask(method, path, body)
            assert (refused.status, refused.body["code"]) == (503, "store_unavailable"), path
            assert int(refused.headers["Retry-After"]) >= 1
        assert watch.took_s < 5
        assert (await plane.get("/livez")).status == 200
        own_redis.start()
        assert (await plane.get("/readyz")).status == 200
        after = await plane.get("/v1/tenants/acme")
        assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])
        assert (await plane.get("/v1/tokens")).body["items"] == []
        assert (await plane.ask("PATCH", "/v1/tenants/acme", {"name": "Found"})).status == 200


async def test_a_frozen_redis_is_503_in_bounded_time(own_redis: RedisProcess) -> None:
    async with running_plane(own_redis.url) as plane:
        await plane.put("acme")
        own_redis.pause()
        try:
            async with within(4):
                refused = await plane.ask("PATCH", "/v1/tenants/acme", {"name": "Frozen"})
            assert (refused.status, refused.body["code"]) == (503, "store_unavailable")
            watch = Stopwatch()
            for method, path in (("GET", "/v1/tenants/acme"), ("PUT", "/v1/tenants/acme"), ("GET", "/v1/nodes")):
                refused = await plane.ask(method, path, document(name="Frozen") if method == "PUT" else None)
                assert (refused.status, refused.body["code"]) == (503, "store_unavailable")
            assert watch.took_s < 1.5  # it is known by now that nobody answers
        finally:
            own_redis.resume()


GARBAGE = {
    "all of it": b"garbage of somebody else" * 3,
    "the highest bytes": b"\xff" * 40,
    "too short": b"short",
    "": b"",
}


@pytest.fixture
async def damaged(plane: Plane) -> Plane:
    """Tenants acme and beta; acme's second revision has been overwritten by something else."""
    await plane.put("acme", domains=[{"host": "a.test", "verified_by": "operator"}])
    await plane.put("beta")
    await plane.ask("POST", "/v1/tenants/acme/domains", {"host": "b.test"})
    await plane.ask("POST", "/v1/tenants/acme/domains/b.test/verify")
    with redis.Redis.from_url(plane.redis_url) as client:
        value = client.hget(keys.documents(), "acme")
        assert isinstance(value, bytes)
        client.hset(keys.documents(), "acme", value[:8] + b"damaged")
    return plane


async def test_a_damaged_record_is_said_to_be_one_and_the_others_are_not_touched(damaged: Plane) -> None:
    refused = await damaged.get("/v1/tenants/acme")
    assert (refused.status, refused.body["code"]) == (500, "record_unreadable")
    patched = await damaged.ask("PATCH", "/v1/tenants/acme", {"name": "x"})
    assert (patched.status, patched.body["code"]) == (500, "record_unreadable")
    listed = (await damaged.get("/v1/tenants")).body["items"]
    assert [(item["tenant"], item["document"] is None, item["error"] is None) for item in listed] == [
        ("acme", True, False),
        ("beta", False, True),
    ]
    assert (await damaged.get("/v1/tenants/beta")).status == 200


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_number_out_of_damaged_bytes_is_nowhere_shown_as_a_revision(damaged: Plane, garbage: bytes) -> None:
    damaged.overwrite("acme", garbage)
    acme, beta = (await damaged.get("/v1/tenants")).body["items"]
    assert acme["revision"] is None
    assert beta["revision"] > 0
    put = document(domains=["b.test"])
    told = [
        await damaged.get("/v1/tenants/acme"),
        await damaged.ask("PATCH", "/v1/tenants/acme", {"name": "x"}),
        await damaged.ask("PUT", "/v1/tenants/acme", put, headers={"If-None-Match": "*"}),
        await damaged.ask("PUT", "/v1/tenants/acme", put, headers={"If-Match": '"0"'}),
        await damaged.ask("PUT", "/v1/tenants/acme", put, headers={"If-Match": f'"{2**64 - 1}"'}),
    ]
    assert [one.status for one in told] == [500, 500, 412, 412, 412]
    for one in told:
        assert "cannot be read" in one.body["detail"]
        assert not re.search(r"\d", one.body["detail"])
    rehearsed = await damaged.ask("PUT", "/v1/tenants/acme?dry_run=true", put)
    assert (rehearsed.status, rehearsed.body["revision"], rehearsed.body["changed"]) == (200, 0, True)
    assert "ETag" not in rehearsed.headers


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.parametrize("repair", ["put", "rollback", "delete"])
async def test_whatever_its_bytes_are_a_tenant_is_written_anew_rolled_back_or_deleted(
    damaged: Plane, garbage: bytes, repair: str
) -> None:
    before = await damaged.catalog.head()
    damaged.overwrite("acme", garbage)
    match repair:
        case "put":
            done = await damaged.ask("PUT", "/v1/tenants/acme", document(domains=["b.test"]), headers={"If-Match": "*"})
        case "rollback":
            good = (await damaged.get("/v1/tenants/acme/revisions")).body["items"][0]["revision"]
            done = await damaged.ask("POST", "/v1/tenants/acme/rollback", {"revision": good})
        case _:
            done = await damaged.ask("DELETE", "/v1/tenants/acme")
    assert (done.status, done.body["revision"]) == (200, before.revision + 1)
    found = await damaged.get("/v1/tenants/acme")
    if repair == "delete":
        assert found.status == 404
        return
    assert (found.status, found.headers["ETag"]) == (200, f'"{before.revision + 1}"')
    assert (await damaged.get("/v1/tenants/acme/domains/b.test")).body["state"] == "verified"


async def test_a_damaged_record_is_written_anew_and_its_hosts_stay_verified(damaged: Plane) -> None:
    written = await damaged.ask("PUT", "/v1/tenants/acme", document(domains=["b.test"]))
    assert (written.status, written.body["changed"]) == (200, True)
    assert (await damaged.get("/v1/tenants/acme/domains/b.test")).body["state"] == "verified"


async def test_a_record_whose_history_is_damaged_as_well_is_written_anew(damaged: Plane) -> None:
    with redis.Redis.from_url(damaged.redis_url) as client:
        client.lset(keys.history("acme"), 0, b"damaged")
    written = await damaged.ask("PUT", "/v1/tenants/acme", document(domains=["b.test"]))
    assert (written.status, written.body["changed"]) == (200, True)
    assert (await damaged.get("/v1/tenants/acme/domains/b.test")).body["state"] == "pending"


async def test_a_damaged_record_is_rolled_back_or_deleted(damaged: Plane) -> None:
    good = (await damaged.get("/v1/tenants/acme/revisions")).body["items"][-1]["revision"]
    assert (await damaged.ask("POST", "/v1/tenants/acme/rollback", {"revision": good})).status == 200
    assert (await damaged.get("/v1/tenants/acme/domains/a.test")).body["served"] is True
    with redis.Redis.from_url(damaged.redis_url) as client:
        client.hset(keys.documents(), "acme", b"")
    assert (await damaged.ask("DELETE", "/v1/tenants/acme")).status == 200
    assert (await damaged.get("/v1/tenants/acme")).status == 404
