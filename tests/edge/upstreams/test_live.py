from __future__ import annotations

import asyncio
from typing import Any

from edge.upstreams.health import Health
from edge.upstreams.live import LiveTargets
from store.model import Upstream

HEALTH = {"path": "/healthz", "interval": "1h"}


def upstream(*urls: str, **fields: Any) -> Upstream:
    return Upstream.model_validate({"targets": [{"url": url} for url in urls], **fields})


def targets() -> LiveTargets:
    return LiveTargets(lambda _ip, _port: False)


async def test_what_two_generations_name_is_one_target_and_keeps_its_state() -> None:
    live = targets()
    (before,) = live.hold("acme", "app", upstream("http://a:1"))
    before.in_flight = 3
    (after,) = live.hold("acme", "app", upstream("http://a:1", connect_timeout="7s"))
    live.drop(before)
    assert after is before
    assert (after.in_flight, after.pool.connect_timeout_s) == (3, 7.0)
    assert len(live) == 1


async def test_the_last_to_let_go_closes_a_target() -> None:
    live = targets()
    (first,) = live.hold("acme", "app", upstream("http://a:1"))
    (second,) = live.hold("acme", "app", upstream("http://a:1"))
    live.drop(first)
    assert not first.pool._is_closed
    live.drop(second)
    assert first.pool._is_closed
    assert len(live) == 0


async def test_no_two_tenants_or_upstreams_share_a_target() -> None:
    live = targets()
    held = [
        live.hold(tenant, name, upstream("http://a:1"))[0]
        for tenant, name in (("acme", "app"), ("acme", "api"), ("other", "app"))
    ]
    assert len({id(each) for each in held}) == 3
    assert len({id(each.pool) for each in held}) == 3


async def test_generations_share_what_is_known_of_their_upstream_even_when_they_share_no_target() -> None:
    live = targets()
    (before,) = live.hold("acme", "app", upstream("http://a:1"))
    (after,) = live.hold("acme", "app", upstream("http://b:1"))
    (other,) = live.hold("acme", "api", upstream("http://a:1"))
    live.drop(before)
    assert after.upstream is before.upstream
    assert other.upstream is not after.upstream
    assert len(live._upstreams) == 2
    live.drop(after)
    live.drop(other)
    del before, after, other
    assert len(live._upstreams) == 0


async def test_a_target_that_an_upstream_names_twice_is_held_twice() -> None:
    live = targets()
    one, two = live.hold("acme", "app", upstream("http://a:1", "http://a:1"))
    assert one is two
    live.drop(one)
    assert len(live) == 1
    live.drop(two)
    assert len(live) == 0


async def test_a_target_by_https_is_asked_for_its_own_name() -> None:
    live = targets()
    (plain, tls) = live.hold("acme", "app", upstream("http://a.test:8080/base", "https://b.test"))
    assert not plain.pool.address.is_tls
    address = tls.pool.address
    assert (address.host, address.port, address.is_tls, address.server_name) == ("b.test", 443, True, "b.test")


async def test_one_target_has_one_monitor_however_often_it_is_held() -> None:
    live = targets()
    before = asyncio.all_tasks()
    (target,) = live.hold("acme", "app", upstream("http://a:1", health=HEALTH))
    live.hold("acme", "app", upstream("http://a:1", health=HEALTH))
    assert len(asyncio.all_tasks() - before) == 1
    live.drop(target)
    live.drop(target)
    await ended(asyncio.all_tasks() - before)


async def test_a_target_without_checks_has_no_task_and_is_healthy() -> None:
    live = targets()
    before = asyncio.all_tasks()
    (target,) = live.hold("acme", "app", upstream("http://a:1"))
    assert target.is_healthy
    assert asyncio.all_tasks() == before


async def test_checks_that_are_taken_out_of_the_document_end_and_so_does_their_verdict() -> None:
    live = targets()
    before = asyncio.all_tasks()
    (target,) = live.hold("acme", "app", upstream("http://a:1", health=HEALTH))
    assert target._monitor is not None
    target._monitor.health = Health(False)
    assert not target.is_usable(0.0)
    live.hold("acme", "app", upstream("http://a:1"))
    assert target.is_usable(0.0)
    await ended(asyncio.all_tasks() - before)


async def test_a_sick_target_is_not_well_because_its_checks_were_reworded() -> None:
    live = targets()
    (target,) = live.hold("acme", "app", upstream("http://a:1", health=HEALTH))
    assert target._monitor is not None
    target._monitor.health = Health(False)
    live.hold("acme", "app", upstream("http://a:1", health={**HEALTH, "interval": "2h"}))
    assert target._monitor.settings.interval_s == 7200
    assert not target.is_healthy
    target.close()


async def ended(tasks: set[asyncio.Task[Any]]) -> None:
    async with asyncio.timeout(20):
        await asyncio.gather(*tasks, return_exceptions=True)
