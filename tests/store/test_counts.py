"""store/counts.py: the counts of a tenant, found in a real Redis among whatever else is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import pytest
import pytest_asyncio
import redis
from redis.crc import key_slot

from store import counts, keys
from store.client import Client, connect
from store.counts import Counts, Place, Wanted, read_counted, read_cursor
from store.decisions import Take
from store.guards import Guards
from store.guards import Place as Under
from store.limiter import Limiter
from store.model import parse_document
from store.standing import Counted, standing
from tests.fakes.redis_modes import ClusterProcess

ALL = Wanted()


class Taking:
    """A limiter and guards of a worker."""

    def __init__(self, client: Client) -> None:
        self.limiter = Limiter(client, lambda: 1)
        self.guards = Guards(client, "n/0/1", lambda: 1)

    async def rate(self, tenant: str, name: str, key: str, times: int = 1) -> None:
        for _ in range(times):
            assert (await self.limiter.take(tenant, [Take(name, key, 5, 3600, 5)])).source == "store"
        await self.limiter.aclose()  # what is not spent goes back


@pytest_asyncio.fixture
async def taking(redis_url: str) -> AsyncIterator[Taking]:
    async with connect(redis_url, "data") as client:
        taking = Taking(client)
        yield taking
        await taking.guards.aclose()


async def names(client: Client, wanted: Wanted = ALL, limit: int = 100, tenant: str = "acme") -> list[tuple[str, str]]:
    """Name all that is found, page by page, as often as it is."""
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    while True:
        page = await Counts(client).find(tenant, wanted, cursor, limit)
        assert len(page.items) <= limit
        found += [(each.name, each.key) for each in page.items]
        cursor = page.cursor
        if cursor is None:
            return sorted(found)


async def test_each_count_of_a_tenant_is_found_once_and_of_no_other(client: Client, taking: Taking) -> None:
    for n in range(30):
        await taking.rate("acme", "per-ip", f"192.0.2.{n}")
        await taking.rate("acme-2", "per-ip", f"192.0.2.{n}")
    await taking.rate("acme", "@all", "::1")
    await taking.guards.enter("acme", Under("busy", "", 5))
    expected = sorted([("per-ip", f"192.0.2.{n}") for n in range(30)] + [("@all", "::1"), ("busy", "")])
    for limit in (1, 7, 100):
        assert await names(client, limit=limit) == expected
    assert await names(client, tenant="nobody") == []


async def test_what_is_wanted_is_found_by_limit_and_by_key_to_the_letter(client: Client, taking: Taking) -> None:
    for name in ("a", "ab", "a.b"):
        for key in ("k", "k*", "*", "k[1]", "k1", "k\\", "?", ""):
            await taking.rate("acme", name, key)
    await taking.rate("acme", "a", "x" * 100)
    await taking.guards.enter("acme", Under("a", "k", 5))
    assert len(await names(client, Wanted("a"))) == 10
    assert await names(client, Wanted("a*")) == []
    for key in ("k*", "*", "k[1]", "k\\", "?", ""):
        assert await names(client, Wanted(key=key)) == [(name, key) for name in ("a", "a.b", "ab")]
    assert await names(client, Wanted("a", "k")) == [("a", "k")] * 2  # a rate, and requests under way
    assert await names(client, Wanted("a", "none")) == []
    assert len(await names(client, Wanted("a", "x" * 100))) == 1


async def test_a_count_whose_names_are_known_is_found_without_looking_around(
    client: Client, taking: Taking, redis_url: str
) -> None:
    await taking.rate("acme", "a", "k")
    with redis.Redis.from_url(redis_url) as raw:
        raw.config_resetstat()
        assert await names(client, Wanted("a", "k")) == [("a", "k")]
        assert "cmdstat_scan" not in raw.info("commandstats")


async def test_a_page_looks_at_a_bounded_part_of_a_large_database(
    client: Client, taking: Taking, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "KEYS_A_CALL", 10)
    monkeypatch.setattr(counts, "CALLS_A_PAGE", 3)
    await taking.rate("acme", "a", "k")
    with redis.Redis.from_url(redis_url) as raw:
        raw.mset({f"{{rl:other}}:a:{n}": "1 0 1" for n in range(2000)})
        raw.config_resetstat()
        page = await Counts(client).find("acme", ALL, None, 100)
        assert raw.info("commandstats")["cmdstat_scan"]["calls"] == 3
    assert page.cursor is not None
    assert await names(client) == [("a", "k")]


async def test_what_is_there_all_the_while_is_found_though_others_come_and_go(client: Client, taking: Taking) -> None:
    lasting = {("a", f"k{n}") for n in range(40)}
    for _, key in lasting:
        await taking.rate("acme", "a", key)
    found: set[tuple[str, str]] = set()
    cursor: str | None = None
    turn = 0
    while cursor or not turn:
        page = await Counts(client).find("acme", ALL, cursor, 3)
        found |= {(each.name, each.key) for each in page.items}
        cursor, turn = page.cursor, turn + 1
        for name in ("0", "b"):
            await client.ask("DEL", keys.limit("acme", name, f"k{turn - 1}"), is_write=True)
            await taking.rate("acme", name, f"k{turn}")
        assert turn < 200
    assert lasting <= found


async def test_where_a_limit_stands_is_what_was_taken_of_it(client: Client, taking: Taking) -> None:
    limits = parse_document(
        {
            "tenant": "acme",
            "limits": {"a": {"rate": "5/h", "by": "key"}, "m": {"quota": "9/month", "by": "key"},
                       "busy": {"concurrent": 4, "by": "key"}},
        }
    ).limits  # fmt: skip
    await taking.rate("acme", "a", "k", times=3)
    await taking.limiter.take("acme", [Take("m", "k", 9, 1, 9, cost=4, window="month")])
    await taking.limiter.aclose()
    for _ in range(3):
        await taking.guards.enter("acme", Under("busy", "k", 4))
    stand = {each.name: standing(each, limits) for each in (await Counts(client).find("acme", ALL, None, 100)).items}
    assert {name: (each.kind, each.used, each.left) for name, each in stand.items()} == {
        "a": ("rate", 3, 2),
        "m": ("quota", 4, 5),
        "busy": ("concurrent", 3, 1),
    }
    assert 2159 < (stand["a"].back_in_s or 0) <= 2160
    assert stand["busy"].workers == 1


async def test_what_nobody_of_ours_has_written_is_left_out(client: Client, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as raw:
        raw.set("{rl:acme}:a:spoilt", "nonsense")
        raw.set("{rl:acme}:a:negative", "-1 0 1")
        raw.set("{rl:acme}:nothing", "1 0 1")
        raw.lpush("{rl:acme}:a:list", "x")
        raw.hset("{rl:acme}/busy:k", mapping={"n/0/1": "nonsense", "n/1/2": f"2 {10**15}"})
    assert await names(client) == [("busy", "k")]


def test_a_key_of_any_bytes_is_shown() -> None:
    found = read_counted(b"{rl:acme}:a:x\xff:y\n", 5, b"7 0 1 8 9", 1)
    assert found == Counted("a", "x\\xff:y\n", (7, 0, 1), 5, 1)


@pytest.mark.parametrize("cursor", ["0", "17", str(2**64 - 1), "5.0123456789abcdef"])
def test_a_cursor_is_read_as_it_was_written(cursor: str) -> None:
    assert str(read_cursor(cursor)) == cursor


@pytest.mark.parametrize(
    "cursor", ["x", "-1", "1.2", "1.0123456789ABCDEF", "1.", "1.0123456789abcdef0", str(2**64), "1" * 21, "\u0661"]
)
def test_a_cursor_that_no_page_has_given_is_refused(cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        read_cursor(cursor)


def test_the_first_page_needs_no_cursor() -> None:
    assert read_cursor(None) == read_cursor("") == Place()


async def test_on_a_cluster_counts_are_found_at_the_node_that_has_them(tmp_path: Path) -> None:
    halves = range(8192), range(8192, 16384)
    with ClusterProcess(tmp_path / "1", halves[0]) as one, ClusterProcess(tmp_path / "2", halves[1]) as other:
        one.meet(other)
        assert {key_slot(keys.limits(f"t{n}").encode()) in halves[0] for n in range(4)} == {True, False}
        async with connect(one.cluster_url, "control") as client:
            for tenant, key in product(range(4), range(20)):
                await client.ask("SET", keys.limit(f"t{tenant}", "a", f"k{key}"), "9 0 1", is_write=True)
            for tenant in range(4):
                assert await names(client, limit=6, tenant=f"t{tenant}") == sorted(("a", f"k{n}") for n in range(20))
            assert await names(client, Wanted("a", "k7"), tenant="t3") == [("a", "k7")]
