"""What an edge needs to be allowed in Redis: this list is enough, and it is not everything."""

from __future__ import annotations

import pytest
import redis

from store import keys
from store.catalog import Catalog, Change
from store.client import Client, connect
from store.codec import TenantRecord
from store.counts import Counts, Wanted
from store.decisions import Take
from store.endings import Endings, session_name
from store.errors import StoreRefused
from store.feed import Feed
from store.fleet import Fleet, WorkerReport
from store.limiter import Limiter
from store.scripts import script
from store.sealing import Sealer
from store.sessions import Kept, Sessions

EDGE_COMMANDS = [
    *["+ping", "+evalsha", "+eval", "+subscribe", "+publish", "+time"],
    *[
        "+get",
        "+set",
        "+mget",
        "+hget",
        "+hexists",
        "+hset",
        "+hdel",
        "+hvals",
        "+zadd",
        "+zrem",
        "+zcount",
        "+zrangebyscore",
    ],
    *["+zrangebylex", "+zscore", "+smembers", "+lrange", "+getex", "+del"],
]
EDGE_KEYS = [
    "{cfg}:*",
    "used:{cfg}:*",
    "{fleet}:*",
    "{rl:*",
    "{sess:*",
]  # Redis 7 can say %R~{cfg}:* and allow no write there
EDGE_CHANNELS = ["{cfg}:tick", "{fleet}:ack", "{sess}:ended"]
COUNT_COMMANDS = ["+ping", "+evalsha", "+eval", "+scan", "+type", "+pttl", "+get", "+hvals", "+time"]
COUNT_KEYS = ["{rl:*"]  # of these it reads alone: Redis 7 can say %R~{rl:*
FORBIDDEN = [["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["GET", "other"], ["PUBLISH", "other", "x"]]


@pytest.fixture
def edge_url(redis_url: str) -> str:
    with redis.Redis.from_url(redis_url) as raw:
        rules = [*EDGE_COMMANDS, *(f"~{key}" for key in EDGE_KEYS), *(f"&{name}" for name in EDGE_CHANNELS)]
        raw.execute_command("ACL", "SETUSER", "edge", "reset", "resetchannels", "on", ">pw", *rules)
    return redis_url.replace("127.", "edge:pw@127.")


async def test_a_control_plane_that_may_not_ask_for_info_commits_all_the_same(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.execute_command("ACL", "SETUSER", "writer", "reset", "on", ">pw", "~*", "&*", "+@all", "-info")
    async with connect(redis_url.replace("127.", "writer:pw@127."), "control") as control:
        for _ in range(2):
            commit = await Catalog(control).commit(Change("acme", TenantRecord({"tenant": "acme"})), None)
        assert commit.revision == 2


async def test_an_edge_can_follow_report_and_limit_with_these_permissions(redis_url: str, edge_url: str) -> None:
    async with connect(redis_url, "control") as control:
        await Catalog(control).commit(Change("acme", TenantRecord({"tenant": "acme"})), 0)
    async with connect(edge_url, "feed") as feed, connect(edge_url, "data") as data:
        wake_ups = Feed(feed).wake_ups()
        assert [(await anext(wake_ups)).reason for _ in range(2)] == ["start", "start"]  # the second: it listens
        await wake_ups.aclose()
        assert (await Catalog(feed).head()).revision == 1
        assert len((await Catalog(feed).changes_since(0)).items) == 1
        assert [item.tenant for item in (await Catalog(feed).digests()).items] == ["acme"]
        assert len((await Catalog(feed).past("acme")).kept) == 1
        assert await Catalog(data).get_key("acme", "k1") is None
        await Catalog(feed).note_used({"acme": ["k1"]})
        fleet = Fleet(feed)
        assert await fleet.report(WorkerReport("n/0/1", "n", 1, (await Catalog(feed).head()).epoch, 1, 0)) == 1
        assert (await fleet.wait(1, 1)).applied == 1
        await fleet.leave("n/0/1")
        decision = await Limiter(data, lambda: 1).take("acme", [Take("a", "k", 1, 60, 1)])
        assert (decision.admitted, decision.source) == (True, "store")
        sessions = Sessions(data, Sealer([b"k" * 32]))
        assert await sessions.use_login("acme", "state", 60)
        await sessions.put("acme", "id", Kept("ann", {}), 60)
        assert await sessions.get("acme", "id", 60) == Kept("ann", {})
        heard = Endings(feed).heard()
        assert [(await anext(heard)).is_gap for _ in range(2)] == [True, True]
        await sessions.delete("acme", "id")
        assert (await anext(heard)).ended == (session_name("acme", "id"),)
        await heard.aclose()


async def test_an_edge_that_may_not_tell_of_an_ending_ends_sessions_all_the_same(redis_url: str, edge_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.execute_command("ACL", "SETUSER", "edge", "resetchannels", *(f"&{name}" for name in EDGE_CHANNELS[:-1]))
    async with connect(edge_url, "data") as data:
        sessions = Sessions(data, Sealer([b"k" * 32]))
        await sessions.put("acme", "id", Kept("ann", {}), 60)
        await sessions.delete("acme", "id")
        assert await sessions.get("acme", "id", 60) is None


async def test_an_edge_can_neither_look_around_nor_destroy_nor_commit(edge_url: str) -> None:
    async with connect(edge_url, "control") as client:
        for command in (
            ["FLUSHALL"],
            ["KEYS", "*"],
            ["CONFIG", "GET", "*"],
            ["GET", "other"],
            ["PUBLISH", "other", "x"],
        ):
            with pytest.raises(StoreRefused, match="permission"):
                await client.ask(*command)
        with pytest.raises(StoreRefused):
            await Catalog(client).commit(Change("acme", TenantRecord({"tenant": "acme"})), 0)
        assert (await Catalog(client).head()).revision == 0


async def test_a_control_plane_can_look_at_limits_with_these_permissions_and_count_nothing(
    redis_url: str, client: Client
) -> None:
    await client.run(script("charge"), [keys.limit("acme", "a", "k")], [1000, 0, 9000, 0, 1, 4_000_000], is_write=True)
    with redis.Redis.from_url(redis_url) as raw:
        rules = [*COUNT_COMMANDS, *(f"~{key}" for key in COUNT_KEYS)]
        raw.execute_command("ACL", "SETUSER", "looking", "reset", "on", ">pw", *rules)
    async with connect(redis_url.replace("127.", "looking:pw@127."), "control") as looking:
        for wanted in (Wanted(), Wanted("a", "k")):
            assert [each.key for each in (await Counts(looking).find("acme", wanted, None, 10)).items] == ["k"]
        with pytest.raises(StoreRefused, match="permission"):
            await looking.ask("DEL", keys.limit("acme", "a", "k"), is_write=True)
