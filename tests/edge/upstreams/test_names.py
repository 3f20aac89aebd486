"""Lookups of names: whose wait for whom, what is kept, and for how long."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from edge.answer import UpstreamError
from edge.pool import Address, ConnectionPool
from edge.upstreams import names
from edge.upstreams.live import LiveTargets
from edge.upstreams.names import Addresses, Name, Resolver, system_addresses
from store.model import Upstream
from tests.fakes.origins import HANG, running_evil_origin
from tests.fakes.waiting import until

HERE: Addresses = (ip_address("127.0.0.1"),)
THERE: Addresses = (ip_address("127.0.0.2"),)


class Dns:
    """Name servers that answer as they are told: names that begin with `slow` when they are released."""

    def __init__(self) -> None:
        self.answers: dict[str, Addresses] = {}
        self.asked: Counter[str] = Counter()
        self.released = threading.Event()

    def look_up(self, host: str) -> Addresses:
        self.asked[host] += 1
        if host.startswith("slow"):
            self.released.wait(30)
        if host not in self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self.answers[host]


@pytest.fixture
def dns() -> Iterator[Dns]:
    servers = Dns()
    yield servers
    servers.released.set()


async def test_one_tenants_slow_names_do_not_hold_up_anothers(dns: Dns) -> None:
    resolver = Resolver(dns.look_up, per_tenant=2)
    dns.answers = {"fast.test": HERE, **{f"slow{number}.test": THERE for number in range(40)}}
    slow = [asyncio.create_task(Name(host, "slow", resolver).addresses()) for host in list(dns.answers)[1:]]
    await until(lambda: sum(dns.asked.values()) == 2)
    async with asyncio.timeout(5):
        assert await Name("fast.test", "acme", resolver).addresses() == HERE
    assert sum(dns.asked.values()) == 3  # the slow tenant's others have not even begun
    dns.released.set()
    assert await asyncio.gather(*slow) == [THERE] * 40


async def test_a_lookup_that_is_given_up_keeps_its_tenants_place_until_it_is_over(dns: Dns) -> None:
    resolver = Resolver(dns.look_up, per_tenant=1)
    dns.answers = {"slow.test": HERE, "other.test": HERE}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await Name("slow.test", "acme", resolver).addresses()
    waiting = asyncio.create_task(Name("other.test", "acme", resolver).addresses())
    await asyncio.sleep(0.05)  # in which the other lookup may not begin: there is no event for that
    assert dns.asked == {"slow.test": 1}
    dns.released.set()
    assert await waiting == HERE


async def test_many_who_need_a_name_ask_once_and_what_comes_late_serves_who_comes_after(dns: Dns) -> None:
    dns.answers = {"slow.test": HERE}
    name = Name("slow.test", "acme", Resolver(dns.look_up))

    async def impatient() -> Addresses:
        async with asyncio.timeout(0.05):
            return await name.addresses()

    outcomes = await asyncio.gather(*(impatient() for _ in range(20)), return_exceptions=True)
    assert all(isinstance(outcome, TimeoutError) for outcome in outcomes)
    patient = asyncio.create_task(name.addresses())
    dns.released.set()
    assert await patient == HERE
    assert await impatient() == HERE
    assert dns.asked == {"slow.test": 1}


async def test_a_name_that_does_not_exist_is_not_looked_up_for_every_request(
    dns: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = Name("missing.test", "acme", Resolver(dns.look_up))
    for _ in range(5):
        with pytest.raises(OSError, match="Name or service not known"):
            await name.addresses()
    assert dns.asked == {"missing.test": 1}
    monkeypatch.setattr(names, "FAILED_FOR_S", 0.0)
    again = Name("missing.test", "acme", Resolver(dns.look_up))
    with pytest.raises(OSError, match="Name or service not known"):
        await again.addresses()
    dns.answers = {"missing.test": HERE}
    assert await again.addresses() == HERE


async def test_a_name_without_an_address_is_one_that_failed(dns: Dns) -> None:
    dns.answers = {"empty.test": ()}
    with pytest.raises(OSError, match="the name has no address"):
        await Name("empty.test", "acme", Resolver(dns.look_up)).addresses()


async def test_new_addresses_take_the_place_of_old_ones_when_these_have_served_their_time(
    dns: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    dns.answers = {"shop.test": HERE}
    name = Name("shop.test", "acme", Resolver(dns.look_up))
    assert await name.addresses() == HERE
    dns.answers = {"shop.test": THERE}
    assert await name.addresses() == HERE
    monkeypatch.setattr(names, "RESOLVED_FOR_S", 0.0)
    moving = Name("shop.test", "acme", Resolver(dns.look_up))
    assert await moving.addresses() == THERE
    dns.answers = {"shop.test": HERE}
    assert await moving.addresses() == HERE


async def test_the_last_good_addresses_serve_while_dns_is_down_and_while_it_is_slow(
    dns: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "RESOLVED_FOR_S", 0.0)
    monkeypatch.setattr(names, "REFRESH_WAIT_S", 0.05)
    dns.answers = {"slow.test": HERE}
    dns.released.set()
    name = Name("slow.test", "acme", Resolver(dns.look_up))
    assert await name.addresses() == HERE
    dns.answers = {}
    assert await name.addresses() == HERE
    dns.released.clear()
    async with asyncio.timeout(5):
        assert await name.addresses() == HERE
    dns.answers = {"slow.test": THERE}
    dns.released.set()
    await until(lambda: name._lookup is None)
    assert await name.addresses() == THERE


async def test_a_slow_lookup_makes_nobody_wait_twice_where_addresses_are_known(dns: Dns) -> None:
    dns.answers = {"slow.test": HERE}
    dns.released.set()
    name = Name("slow.test", "acme", Resolver(dns.look_up))
    await name.addresses()
    dns.released.clear()
    name._known_until_s = 0.0
    assert await name.addresses() == HERE  # this one has waited for REFRESH_WAIT_S
    waiting = name.addresses()
    with pytest.raises(StopIteration):  # it answers without giving the loop a turn
        waiting.send(None)


async def test_an_address_is_not_looked_up(dns: Dns) -> None:
    assert await Name("127.0.0.1", "acme", Resolver(dns.look_up)).addresses() == HERE
    assert await Name("::1", "acme", Resolver(dns.look_up)).addresses() == (ip_address("::1"),)
    assert not dns.asked


async def test_the_time_a_lookup_takes_is_part_of_the_time_to_connect(dns: Dns) -> None:
    name = Name("slow.test", "acme", Resolver(dns.look_up))
    pool = ConnectionPool(Address("slow.test", 1), connect_timeout_s=0.05, allow=lambda _: True, name=name)
    with pytest.raises(UpstreamError) as caught:
        await pool.connect()
    assert (caught.value.code, caught.value.is_request_sent) == ("upstream_timeout", False)


async def test_a_tenants_targets_look_their_names_up_at_the_tenants_own_expense(dns: Dns) -> None:
    dns.answers = {"fast.test": HERE}
    live = LiveTargets(lambda _ip, _port: True, resolver=Resolver(dns.look_up, per_tenant=1))
    async with running_evil_origin(HANG) as evil:
        (hung,), (waiting,), (other,) = (
            live.hold(tenant, "app", Upstream.model_validate({"targets": [f"http://{host}:{evil.port}"]}))
            for tenant, host in (("slow", "slow.test"), ("slow", "fast.test"), ("acme", "fast.test"))
        )
        hung.pool.connect_timeout_s = waiting.pool.connect_timeout_s = 0.1
        first = asyncio.create_task(hung.pool.connect())
        await until(lambda: dns.asked["slow.test"])
        (await other.pool.connect()).abort()
        for timed_out in (first, waiting.pool.connect()):
            with pytest.raises(UpstreamError) as caught:
                await timed_out
            assert caught.value.code == "upstream_timeout"
        assert dns.asked == {"slow.test": 1, "fast.test": 1}
        for target in (hung, waiting, other):
            live.drop(target)


async def test_a_name_that_cannot_be_found_is_a_502_that_says_why_in_the_log(dns: Dns) -> None:
    name = Name("missing.test", "acme", Resolver(dns.look_up))
    pool = ConnectionPool(Address("missing.test", 1), connect_timeout_s=5.0, allow=lambda _: True, name=name)
    with pytest.raises(UpstreamError) as caught:
        await pool.connect()
    assert caught.value.code == "upstream_connect"
    assert caught.value.detail == "cannot connect: OSError: Name or service not known"


async def test_lookups_leave_the_threads_of_the_loop_to_connections(dns: Dns) -> None:
    """Libuv lets two lookups run at once, and an address that is connected to passes through it as well."""
    resolver = Resolver(dns.look_up, per_tenant=8)
    slow = [asyncio.create_task(Name(f"slow{number}.test", "acme", resolver).addresses()) for number in range(8)]
    await until(lambda: sum(dns.asked.values()) == 8)
    async with running_evil_origin(HANG) as evil:
        pool = ConnectionPool(Address("127.0.0.1", evil.port), connect_timeout_s=5.0, allow=lambda _: True)
        connection = await pool.connect()
        assert connection.is_usable()
        connection.abort()
    dns.released.set()
    assert all(isinstance(each, OSError) for each in await asyncio.gather(*slow, return_exceptions=True))


async def test_a_lookup_that_breaks_in_an_unforeseen_way_is_a_failed_one_and_gives_its_place_back() -> None:
    def broken(_host: str) -> Addresses:
        raise ValueError("embedded null byte")

    resolver = Resolver(broken, per_tenant=1)
    for _ in range(2):
        with pytest.raises(OSError, match="embedded null byte"):
            await Name("shop.test", "acme", resolver).addresses()


def test_the_system_knows_this_machine_and_says_of_others_why_not() -> None:
    assert ip_address("127.0.0.1") in system_addresses("localhost")
    with pytest.raises(socket.gaierror):
        system_addresses("name.invalid")
    with pytest.raises(OSError, match="not a name"):
        system_addresses("a" * 64 + ".test")
