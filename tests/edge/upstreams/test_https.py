"""Targets by https through an upstream's group: whose connections they are, what fails, and their health checks."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from edge.errors import EdgeError
from edge.upstreams.egress import EgressFilter
from edge.upstreams.group import UpstreamGroup
from edge.upstreams.live import LiveTargets
from edge.upstreams.names import Resolver
from loadtest.origin import OriginState, make_app
from store.model import Upstream
from tests.fakes.origins import running_origin
from tests.fakes.requests import incoming
from tests.fakes.tls import Authority, running_tls_app
from tests.fakes.upstreams import Running, context
from tests.fakes.waiting import until

HEALTH = {"path": "/healthz", "interval": "10ms", "healthy_after": 1, "unhealthy_after": 2}
pytestmark = pytest.mark.usefixtures("trust")


def live_targets() -> LiveTargets:
    """Targets whose names all lead to this machine."""
    return LiveTargets(EgressFilter(["127.0.0.0/8"]).allows, resolver=Resolver(lambda _: (ip_address("127.0.0.1"),)))


async def answer_of(group: UpstreamGroup) -> int:
    response = await group.send(context(incoming()))
    await response.load_content()
    return response.status


async def test_no_connection_is_shared_between_tenants_upstreams_or_names_though_the_address_is_one(
    ours: Authority,
) -> None:
    """CVE-2026-54275 is a pool that gave one name's connection to another."""
    server = ours.server("a.test", "b.test")
    live = live_targets()
    async with running_tls_app(make_app(), server) as port:
        both = [f"https://a.test:{port}", f"https://b.test:{port}"]
        groups = [
            UpstreamGroup(tenant, name, Upstream.model_validate({"targets": [url]}), live)
            for tenant, name, url in (
                ("acme", "app", both[0]),
                ("acme", "app", both[1]),
                ("acme", "api", both[0]),
                ("other", "app", both[0]),
            )
        ]
        for _ in range(3):
            assert [await answer_of(group) for group in groups] == [200] * 4
        assert server.asked_for == ["a.test", "b.test", "a.test", "a.test"]
        assert live.counters.connections == 4
        for group in groups:
            group.close()
        await until(lambda: live.counters.connections == 0, 5)


async def test_a_certificate_for_one_name_does_not_do_for_another_at_the_same_address(ours: Authority) -> None:
    async with running_tls_app(make_app(), ours.server("a.test")) as port:
        good, bad = (Running([f"https://{name}.test:{port}"], live_targets()) for name in "ab")
        assert (await good.ask())[0] == 200
        with pytest.raises(EdgeError) as caught:
            await bad.ask()
        assert (caught.value.code, caught.value.status) == ("upstream_connect", 502)
        good.group.close()
        bad.group.close()


async def test_a_target_that_cannot_prove_itself_is_passed_over_for_one_that_can(ours: Authority) -> None:
    async with running_tls_app(make_app(), Authority().server("a.test")) as untrusted, running_origin() as origin:
        upstream = Running([f"https://a.test:{untrusted}", origin.url], live_targets())
        assert (await upstream.ask(incoming("POST", "/echo", body=[b"once"])))[0] == 200
        assert origin.state.hits["/echo"] == 1
        upstream.group.close()


async def test_checks_go_by_https_too_and_a_bad_certificate_fails_them(ours: Authority) -> None:
    state = OriginState()
    server = ours.server("a.test")
    async with running_tls_app(make_app(state), server) as port:
        good = Running([f"https://a.test:{port}"], live_targets(), health=HEALTH)
        await until(lambda: state.hits["/healthz"] > 2)
        assert good.target(0).is_healthy
        assert set(server.asked_for) == {"a.test"}
        state.health_status = 503
        await until(lambda: not good.target(0).is_healthy)
        good.group.close()
        bad = Running([f"https://b.test:{port}"], live_targets(), health=HEALTH)
        await until(lambda: not bad.target(0).is_healthy)
        assert bad.live.counters.checks["passed"] == 0
        bad.group.close()
