"""Requests of the edge's own: what they may reach, what they believe, and whose slowness is whose."""

from __future__ import annotations

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiohttp import web

from edge.errors import EdgeError
from edge.outgoing import Answer, Asker, Outgoing
from edge.upstreams.egress import Allows, EgressFilter
from edge.upstreams.names import Addresses, Resolver
from tests.fakes.origins import CLOSE, HANG, READ_HEAD, Drip, Send, running_app, running_evil_origin
from tests.fakes.tls import Authority, running_tls_app
from tests.fakes.waiting import until

LOOPBACK = EgressFilter(["127.0.0.0/8"]).allows
HERE: Addresses = (ip_address("127.0.0.1"),)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def outgoing(
    allows: Allows = LOOPBACK, look_up: Callable[[str], Addresses] = lambda _: HERE, **bounds: int
) -> AsyncIterator[Outgoing]:
    """Every name leads to this machine, unless said otherwise."""
    made = Outgoing(allows, Resolver(look_up), **bounds)
    try:
        yield made
    finally:
        await made.aclose()


async def refusal(asker: Asker, url: str, timeout_s: float = 5.0) -> EdgeError:
    with pytest.raises(EdgeError) as caught:
        await asker.ask("GET", url, timeout_s=timeout_s)
    assert (caught.value.code, caught.value.status) == ("auth_unavailable", 503)
    return caught.value


async def test_an_answer_is_given_whole_whatever_its_status() -> None:
    async with running_evil_origin(READ_HEAD, Send(OK.replace(b"200 OK", b"403 Forbidden"))) as service:
        async with outgoing() as asking:
            answer = await asking.of("acme").ask("GET", f"http://id.test:{service.port}/a%2Fb?c=%20", {"X-A": "1"})
        assert (answer.status, answer.body) == (403, b"ok")
        assert service.connections[0].received.decode().split("\r\n") == [
            "GET /a%2Fb?c=%20 HTTP/1.1", f"Host: id.test:{service.port}", "X-A: 1", "", "",
        ]  # fmt: skip


async def test_a_redirect_is_told_and_not_followed() -> None:
    hits: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        hits.append(request.path)
        raise web.HTTPFound("/elsewhere")

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with running_app(app) as port, outgoing() as asking:
        told = await asking.of("acme").ask("GET", f"http://id.test:{port}/start")
        assert (told.status, told.fields["Location"]) == (302, "/elsewhere")
        assert hits == ["/start"]


async def test_a_name_that_comes_to_lead_inside_is_refused_at_the_moment_of_connecting() -> None:
    """Rebinding: the first answer may be reached, the second may not, and neither is believed for the other."""
    answers = iter(["127.0.0.1", "10.0.0.1"])
    judged: list[tuple[str, int]] = []

    def allows(ip: object, port: int) -> bool:
        judged.append((str(ip), port))
        return str(ip) == "127.0.0.1"

    async with running_evil_origin(READ_HEAD, Send(OK), CLOSE) as service:
        async with outgoing(allows, lambda _: (ip_address(next(answers)),)) as asking:
            url = f"http://id.test:{service.port}/"
            assert (await asking.of("acme").ask("GET", url)).body == b"ok"
            error = await refusal(asking.of("other"), url)
        assert "egress filter" in error.detail
        assert judged == [("127.0.0.1", service.port), ("10.0.0.1", service.port)]
        assert len(service.connections) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "[64:ff9b::7f00:1]"])
async def test_an_address_in_the_url_which_no_resolver_sees_is_judged_too(host: str) -> None:
    async with outgoing(EgressFilter().allows) as asking:
        assert "egress filter" in (await refusal(asking.of("acme"), f"http://{host}:9/")).detail


async def test_of_several_addresses_none_that_may_not_be_reached_is_connected_to() -> None:
    both: Addresses = (ip_address("10.0.0.1"), ip_address("127.0.0.1"))
    async with running_evil_origin(READ_HEAD, Send(OK)) as service, outgoing(look_up=lambda _: both) as asking:
        assert (await asking.of("acme").ask("GET", f"http://id.test:{service.port}/")).status == 200


async def test_an_answer_beyond_its_bound_is_no_answer_and_its_connection_ends() -> None:
    body = b"x" * 100
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    async with running_evil_origin(READ_HEAD, Send(head + body), HANG) as service, outgoing() as asking:
        error = await refusal(asking.of("acme", 99), f"http://id.test:{service.port}/")
        assert "too long" in error.detail
        await asyncio.wait_for(service.connections[0].over.wait(), 5)


async def test_an_answer_of_just_its_bound_is_one() -> None:
    async with running_evil_origin(READ_HEAD, Send(OK)) as service, outgoing() as asking:
        assert (await asking.of("acme", 2).ask("GET", f"http://id.test:{service.port}/")).body == b"ok"


async def test_what_is_packed_stays_packed_and_so_within_its_bound() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert "Accept-Encoding" not in request.headers
        return web.Response(body=gzip.compress(b"0" * 1_000_000), headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_get("/", answer)
    async with running_app(app) as port, outgoing() as asking:
        told = await asking.of("acme", 5000).ask("GET", f"http://id.test:{port}/")
        assert gzip.decompress(told.body) == b"0" * 1_000_000


@pytest.mark.parametrize(
    "script",
    [
        (READ_HEAD, HANG),
        (READ_HEAD, Send(OK[:20]), HANG),
        (READ_HEAD, Drip(OK, every_s=0.05)),
        (READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), Drip(b"x" * 100, every_s=0.05)),
    ],
    ids=["silent", "half a head", "a head in drips", "a body in drips"],
)
async def test_a_service_that_takes_too_long_is_given_up(script: tuple[Send, ...]) -> None:
    async with running_evil_origin(*script) as service, outgoing() as asking:
        error = await refusal(asking.of("acme"), f"http://id.test:{service.port}/", timeout_s=0.2)
        assert "TimeoutError" in error.detail
        await asyncio.wait_for(service.connections[0].over.wait(), 5)


async def test_an_answer_that_breaks_off_is_none() -> None:
    async with running_evil_origin(READ_HEAD, Send(OK[:-1]), CLOSE) as service, outgoing() as asking:
        await refusal(asking.of("acme"), f"http://id.test:{service.port}/")


async def test_a_service_proves_its_name_by_a_certificate_that_the_edge_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Authority()
    app = web.Application()
    with ours.trusted(tmp_path, monkeypatch):
        async with outgoing() as asking:
            async with running_tls_app(app, ours.server("id.test")) as port:
                assert (await asking.of("acme").ask("GET", f"https://id.test:{port}/")).status == 404
                assert "CertVerification" in (await refusal(asking.of("acme"), f"https://other.test:{port}/")).detail
            async with running_tls_app(app, Authority().server("id.test")) as port:
                assert "CertVerification" in (await refusal(asking.of("acme"), f"https://id.test:{port}/")).detail
            async with running_tls_app(app, ours.server("id.test", is_expired=True)) as port:
                assert "CertVerification" in (await refusal(asking.of("acme"), f"https://id.test:{port}/")).detail


async def test_no_cookie_is_kept() -> None:
    answer = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: who=acme\r\n\r\n")
    async with running_evil_origin(READ_HEAD, Send(answer), READ_HEAD, Send(answer)) as service, outgoing() as asking:
        for _ in range(2):
            await asking.of("acme").ask("GET", f"http://id.test:{service.port}/")
        assert b"ookie" not in service.connections[0].received


async def test_a_connection_serves_again_and_never_another_tenant() -> None:
    async with running_evil_origin(READ_HEAD, Send(OK), READ_HEAD, Send(OK), HANG) as service, outgoing() as asking:
        for tenant in ("acme", "acme", "other"):
            await asking.of(tenant).ask("GET", f"http://id.test:{service.port}/")
        assert [each.received.count(b"GET") for each in service.connections] == [2, 1]


async def test_one_tenants_slow_service_holds_up_nobody_else() -> None:
    async with (
        running_evil_origin(READ_HEAD, HANG) as slow,
        running_evil_origin(READ_HEAD, Send(OK)) as fast,
        outgoing(per_tenant=2) as asking,
    ):
        waiting = [
            asyncio.create_task(asking.of("slow").ask("GET", f"http://id.test:{slow.port}/", timeout_s=30))
            for _ in range(10)
        ]
        await slow.connected(2)
        async with asyncio.timeout(5):
            assert (await asking.of("acme").ask("GET", f"http://id.test:{fast.port}/")).body == b"ok"
        await refusal(asking.of("slow"), f"http://id.test:{fast.port}/", timeout_s=0.05)  # its turn does not come
        assert len(slow.connections) == 2
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_one_tenants_slow_dns_holds_up_nobody_else() -> None:
    released = threading.Event()

    def look_up(host: str) -> Addresses:
        if host == "slow.test":
            released.wait(30)
        return HERE

    async with running_evil_origin(READ_HEAD, Send(OK)) as service, outgoing(look_up=look_up) as asking:
        try:
            slow = [
                asyncio.create_task(refusal(asking.of("slow"), "http://slow.test:9/", timeout_s=0.2)) for _ in range(40)
            ]
            async with asyncio.timeout(5):
                url = f"http://id.test:{service.port}/"
                assert (await asking.of("acme").ask("GET", url)).body == b"ok"
                await asyncio.gather(*slow)
        finally:
            released.set()


async def test_who_goes_gives_back_the_turn_and_the_connection_ends() -> None:
    async with running_evil_origin(READ_HEAD, HANG, then=(READ_HEAD, Send(OK))) as service:
        async with outgoing(per_tenant=1) as asking:
            url = f"http://id.test:{service.port}/"
            first = asyncio.create_task(asking.of("acme").ask("GET", url, timeout_s=30))
            queued = asyncio.create_task(asking.of("acme").ask("GET", url, timeout_s=30))
            connection = await service.connected(1)
            await until(lambda: b"GET" in connection.received, 5)
            queued.cancel()
            first.cancel()
            assert all(
                isinstance(each, asyncio.CancelledError)
                for each in await asyncio.gather(first, queued, return_exceptions=True)
            )
            await asyncio.wait_for(connection.over.wait(), 5)
            answer: Answer = await asking.of("acme").ask("GET", url, timeout_s=5)
            assert answer.body == b"ok"


async def test_connections_of_tenants_that_ask_no_more_are_closed() -> None:
    async with running_evil_origin(READ_HEAD, Send(OK), HANG) as service, outgoing(max_idle_tenants=2) as asking:
        for tenant in "abc":
            await asking.of(tenant).ask("GET", f"http://id.test:{service.port}/")
        await asyncio.wait_for(service.connections[0].over.wait(), 5)
        assert not service.connections[1].over.is_set()


async def test_no_error_repeats_what_a_service_or_a_url_says() -> None:
    answer = b"HTTP/1.1 200 OK\r\nsecret-field secret\r\n\r\n"
    async with running_evil_origin(READ_HEAD, Send(answer)) as service, outgoing() as asking:
        error = await refusal(asking.of("acme"), f"http://secret.test:{service.port}/secret?secret")
        assert "secret" not in str(error)
