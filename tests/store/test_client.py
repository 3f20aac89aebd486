"""store/client.py and its links: bounded time, safe retries, nothing left for the next caller."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import socket
from collections.abc import Iterator

import pytest
import redis

from store.client import PATIENCE, Client, Role, connect
from store.embedded import RedisProcess
from store.errors import BadRedisUrl, StoreRefused, StoreUnavailable
from tests.fakes.redis_modes import wait_until
from tests.fakes.timing import steadily, within
from tests.fakes.waiting import until

ROLES: list[Role] = ["control", "feed", "data"]
AT_ONCE_S = 0.5  # half of what connecting may take: many times 50 ms, for a machine that is busy


@pytest.fixture
def blackhole() -> Iterator[str]:
    """A server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("role", ROLES)
async def test_every_role_reaches_redis_by_tcp_and_by_unix_socket(redis_server: RedisProcess, role: Role) -> None:
    for url in (redis_server.url, redis_server.unix_url):
        async with connect(url, role) as client:
            await client.ping()
            assert await client.ask("ECHO", "hello") == b"hello"


async def test_a_database_number_is_obeyed(redis_url: str) -> None:
    async with connect(redis_url.replace("/0", "/3"), "data") as three, connect(redis_url, "control") as zero:
        await three.ask("SET", "here", "yes")
        assert await three.ask("GET", "here") == b"yes"
        assert await zero.ask("GET", "here") is None


def test_a_bad_url_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(BadRedisUrl):
        connect("redis://", "data")


@pytest.mark.parametrize("role", ROLES)
async def test_closing_twice_is_safe_and_ends_everything(redis_url: str, role: Role) -> None:
    client = connect(redis_url, role)
    await client.ping()
    await client.aclose()
    await client.aclose()
    with pytest.raises(StoreUnavailable, match="closed"):
        await client.ping()
    with pytest.raises(StoreUnavailable, match="closed"):
        await client.open_connection()


async def test_closing_a_client_that_was_never_used_is_safe() -> None:
    for url in ("redis://127.0.0.1:1", "redis+sentinel://127.0.0.1:1/main", "redis+cluster://127.0.0.1:1"):
        for role in ROLES:
            await connect(url, role).aclose()


@pytest.mark.parametrize("role", ROLES)
async def test_a_refused_connection_is_known_at_once(role: Role) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with connect(f"redis://127.0.0.1:{unused.getsockname()[1]}", role) as client:
            async with within(AT_ONCE_S):
                with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
                    await client.ask("SET", "a", "b", is_write=True)
    assert not caught.value.ambiguous


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://127.0.0.1:1", "nobody listens there"),
        ("redis://nowhere.invalid:1", "its name does not resolve"),
        ("unix:///nowhere/redis.sock", "there is no such socket"),
    ],
)
async def test_an_operator_is_told_why_redis_cannot_be_reached(url: str, why: str) -> None:
    async with connect(url, "control") as client:
        with pytest.raises(StoreUnavailable, match=why):
            await client.ping()


@pytest.mark.fifty_ms
async def test_the_request_path_waits_50_ms_for_a_blackhole_and_no_longer(blackhole: str) -> None:
    assert PATIENCE["data"].answer_s == PATIENCE["data"].total_s == 0.05
    async with connect(blackhole, "data") as client:
        for _ in range(3):
            async with within(AT_ONCE_S):
                with pytest.raises(StoreUnavailable, match="in time"):
                    await client.ping()


async def test_the_patient_roles_give_a_blackhole_up_too(blackhole: str) -> None:
    async with connect(blackhole, "control") as client:
        async with within(5):
            with pytest.raises(StoreUnavailable, match="in time"):
                await client.ping()


@pytest.mark.fifty_ms
@steadily
async def test_a_frozen_redis_costs_50_ms_and_its_late_replies_reach_nobody(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "data") as client:
        await until(functools.partial(_echoes, client))
        own_redis.pause()
        try:
            async with within(AT_ONCE_S):
                outcomes = await asyncio.gather(
                    *(client.ask("ECHO", f"lost{n}") for n in range(50)), return_exceptions=True
                )
            assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
        finally:
            own_redis.resume()
        await until(functools.partial(_echoes, client))


@pytest.mark.fifty_ms
@steadily
async def test_who_has_waited_five_times_in_vain_on_the_request_path_waits_no_more(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "data") as client, connect(own_redis.url, "control") as patient:
        await until(functools.partial(_echoes, client))
        own_redis.pause()
        try:
            for _ in range(5):
                with pytest.raises(StoreUnavailable, match="in time"):
                    await client.ask("ECHO", "lost")
            for _ in range(3):
                with pytest.raises(StoreUnavailable, match="not asked for the moment"):
                    await client.ask("ECHO", "not asked")
        finally:
            own_redis.resume()
        assert await patient.ask("ECHO", "after") == b"after"  # those who may wait are asked for as ever
        await until(functools.partial(_echoes, client))
        assert await asyncio.gather(*(client.ask("ECHO", str(n)) for n in range(3))) == [b"0", b"1", b"2"]


@pytest.mark.fifty_ms
@steadily
async def test_a_refusal_is_an_answer_and_closes_what_silence_has_opened(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "data") as client:
        await client.ask("SET", "a", "text")
        own_redis.pause()
        while not client._breaker.is_open:
            with pytest.raises(StoreUnavailable):
                await client.ask("GET", "a")
        own_redis.resume()
        await until(functools.partial(_is_refused, client))
        assert await client.ask("GET", "a") == b"text"


async def _is_refused(client: Client) -> bool:
    try:
        await client.ask("HGET", "a", "b")
    except StoreRefused:
        return True
    except StoreUnavailable:
        return False
    raise AssertionError("it is no hash")


async def _echoes(client: Client) -> bool:
    with contextlib.suppress(StoreUnavailable):  # on a busy machine 50 ms may pass
        assert await client.ask("ECHO", "mine") == b"mine"
        return True
    return False


async def test_what_redis_refuses_stops_nobody_else_from_asking(redis_url: str) -> None:
    async with connect(redis_url, "data") as client:
        await client.ask("SET", "a", "text")
        for _ in range(8):
            with pytest.raises(StoreRefused):
                await client.ask("HGET", "a", "b")
            await asyncio.sleep(0.011)  # what fails at one moment is one failure
        assert await client.ask("GET", "a") == b"text"


async def test_requests_on_one_lane_do_not_wait_for_one_another(redis_url: str) -> None:
    async with connect(redis_url, "data") as client:
        await client.ping()
        replies = await asyncio.gather(*(client.ask("ECHO", str(n)) for n in range(100)))
        assert replies == [str(n).encode() for n in range(100)]
        with redis.Redis.from_url(redis_url) as raw:
            # the lane's and this one, once those of the test before are gone
            await asyncio.to_thread(wait_until, lambda: len(raw.client_list(_type="normal")) == 2)


@pytest.mark.parametrize("role", ROLES)
async def test_cancelled_commands_leave_no_reply_for_the_next_caller(redis_url: str, role: Role) -> None:
    chance = random.Random(7)
    async with connect(redis_url, role) as client:

        async def echo(text: str) -> None:
            assert await client.ask("ECHO", text) == text.encode()

        cancelled = 0
        for turn in range(60):
            tasks = [asyncio.create_task(echo(f"{turn}.{n}")) for n in range(20)]
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            doomed = [task for task in chance.sample(tasks, 8) if task.cancel()]
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            wrong = [each for each in outcomes if each is not None and not isinstance(each, asyncio.CancelledError)]
            assert wrong == []
            assert all(task.cancelled() for task in doomed)  # no cancellation was swallowed on the way
            cancelled += len(doomed)
        assert cancelled > 100


async def test_a_read_on_a_connection_that_dies_is_tried_once_more(client: Client) -> None:
    tries = []

    async def talk(ask: object) -> object:
        tries.append(1)
        assert callable(ask)
        if len(tries) == 1:
            await ask("QUIT")
        return await ask("ECHO", "alive")

    assert await client.converse(talk) == b"alive"
    assert len(tries) == 2


async def test_a_write_whose_answer_is_lost_stays_ambiguous_when_the_second_try_cannot_connect(
    own_redis: RedisProcess,
) -> None:
    async with connect(own_redis.url, "control") as client:

        async def talk(ask: object) -> object:
            assert callable(ask)
            await asyncio.to_thread(own_redis.kill)
            return await ask("SET", "a", "b")

        with pytest.raises(StoreUnavailable) as caught:
            await client.converse(talk, is_write=True)
    assert caught.value.ambiguous
    assert "may have happened" in str(caught.value)


@pytest.mark.parametrize("role", ROLES)
async def test_a_wrong_password_is_refused_and_not_repeated(own_redis: RedisProcess, role: Role) -> None:
    with redis.Redis.from_url(own_redis.url) as raw:
        raw.config_set("requirepass", "correct")
    async with connect(own_redis.url.replace("127.", ":hunter2@127."), role) as client:
        with pytest.raises(StoreRefused, match="user name or password") as caught:
            await client.ping()
        assert "hunter2" not in f"{caught.value} {client!r}"
    async with connect(own_redis.url, role) as client:
        with pytest.raises(StoreRefused):
            await client.ping()
    async with connect(own_redis.url.replace("127.", ":correct@127."), role) as client:
        await client.ping()


async def test_a_missing_permission_and_full_memory_are_refusals(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "control") as client:
        await client.ask("ACL", "SETUSER", "edge", "on", ">pw", "~*", "+ping", "+set")
        async with connect(own_redis.url.replace("127.", "edge:pw@127."), "control") as edge:
            await edge.ping()
            with pytest.raises(StoreRefused, match="permission"):
                await edge.ask("FLUSHALL")
        await client.ask("CONFIG", "SET", "maxmemory", "1")
        write = "return redis.call('SET', KEYS[1], 'b')"
        for command in (("SET", "a", "b"), ("EVAL", write, 1, "a")):
            with pytest.raises(StoreRefused, match=r"out of memory \(OOM\)"):
                await client.ask(*command, is_write=True)


async def test_a_demoted_master_is_unavailable_and_not_ambiguous(own_redis: RedisProcess) -> None:
    async with connect(own_redis.url, "control") as client, connect(own_redis.url, "data") as lane:
        await client.ask("REPLICAOF", "127.0.0.1", "1")
        write = "return redis.call('SET', KEYS[1], 'b')"
        for each in (client, lane):
            for command in (("SET", "a", "b"), ("EVAL", write, 1, "a")):
                with pytest.raises(StoreUnavailable, match=r"\(READONLY\)") as caught:
                    await each.ask(*command, is_write=True)
                assert not caught.value.ambiguous


async def test_a_subscribers_connection_is_its_own(client: Client) -> None:
    connection = await client.open_connection()
    await connection.send_command("SUBSCRIBE", "news")
    assert await connection.read_response() == [b"subscribe", b"news", 1]
    await client.ask("PUBLISH", "news", "x")
    assert await connection.read_response() == [b"message", b"news", b"x"]
    await connection.disconnect()
