"""An upstream with real targets: who gets a request, what happens when one fails, and what is given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from edge.answer import UpstreamError
from edge.context import ProxyContext
from edge.errors import EdgeError
from edge.message import ProxyRequest, ProxyResponse
from edge.upstreams.group import SplitTransport, UpstreamGroup, cookie
from edge.upstreams.live import LiveTargets
from store.model import Upstream
from tests.fakes.origins import (
    CLOSE,
    HANG,
    READ_HEAD,
    RESET,
    EvilOrigin,
    Send,
    Step,
    refusing_port,
    running_evil_origin,
)


class Empty:
    """A request's body that is not there."""

    async def readany(self) -> bytes:
        return b""

    def is_eof(self) -> bool:
        return True

    def read_nowait(self, n: int = -1) -> bytes:
        return b""


class Asked:
    """A received request, as far as an upstream looks at it."""

    raw_path = "/"
    version = (1, 1)
    scheme = "http"
    host = "shop.test"
    remote: str | None = "192.0.2.1"
    content = Empty()
    body_exists = False
    content_length: int | None = None

    def __init__(self, method: str = "GET", **headers: str) -> None:
        self.method = method
        self.headers = CIMultiDictProxy(CIMultiDict(headers))


def context(method: str = "GET", **headers: str) -> ProxyContext:
    request = ProxyRequest(Asked(method, **headers), "/x", "", CIMultiDict({"Host": "shop.test"}))
    return ProxyContext().copy_for(request)


def answering(name: str, status: int = 200) -> tuple[Step, ...]:
    answer = f"HTTP/1.1 {status} X\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode()
    return (READ_HEAD, Send(answer)) * 50 + (HANG,)


@asynccontextmanager
async def origins(*scripts: tuple[Step, ...]) -> AsyncIterator[list[EvilOrigin]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_evil_origin(*script)) for script in scripts]


def live_targets() -> LiveTargets:
    return LiveTargets(lambda ip: ip in ip_network("127.0.0.0/8"))


def group(targets: LiveTargets, *urls: Any, **settings: Any) -> UpstreamGroup:
    return UpstreamGroup("acme", "app", Upstream.model_validate({"targets": urls, **settings}), targets)


async def body_of(response: ProxyResponse) -> str:
    assert response.body is not None
    text = b""
    while data := await response.body.read():
        text += data
    return text.decode()


async def ask(upstream: UpstreamGroup, ctx: ProxyContext | None = None) -> str:
    return await body_of(await upstream.send(ctx or context()))


async def test_requests_go_round_by_weight() -> None:
    async with origins(answering("a"), answering("b")) as (a, b):
        upstream = group(live_targets(), a.url, {"url": b.url, "weight": 2})
        assert sorted([await ask(upstream) for _ in range(6)]) == ["a", "a", "b", "b", "b", "b"]


async def test_a_target_of_weight_nothing_takes_nothing() -> None:
    async with origins(answering("a"), answering("b")) as (a, b):
        upstream = group(live_targets(), a.url, {"url": b.url, "weight": 0})
        assert {await ask(upstream) for _ in range(6)} == {"a"}


async def test_the_path_of_a_targets_url_goes_before_the_requests() -> None:
    async with origins(answering("a")) as (a,):
        assert await ask(group(live_targets(), f"{a.url}/base/")) == "a"
        assert bytes(a.connections[0].received).startswith(b"GET /base/x HTTP/1.1\r\n")


async def test_a_refused_connection_is_tried_elsewhere_whatever_the_method() -> None:
    async with origins(answering("a")) as (a,):
        with refusing_port() as dead:
            upstream = group(live_targets(), f"http://127.0.0.1:{dead}", a.url)
            assert {await ask(upstream, context("POST")) for _ in range(4)} == {"a"}


@pytest.mark.parametrize(("method", "outcome"), [("GET", "b"), ("POST", "upstream_reset")])
async def test_a_reset_is_tried_elsewhere_only_for_what_may_be_repeated(method: str, outcome: str) -> None:
    async with origins((READ_HEAD, RESET), answering("b")) as (a, b):
        upstream = group(live_targets(), a.url, b.url)
        try:
            found = await ask(upstream, context(method))
        except UpstreamError as error:
            found = error.code
        assert found == outcome


async def test_a_gateway_status_is_tried_elsewhere_where_the_document_says_so() -> None:
    async with origins(answering("a", 503), answering("b")) as (a, b):
        told = {"attempts": 1, "on": ["503"]}
        targets = live_targets()
        assert {await ask(group(targets, a.url, b.url, retry=told)) for _ in range(3)} == {"b"}
        assert (await group(targets, a.url, b.url).send(context())).status == 503


async def test_the_last_targets_own_answer_is_the_answer() -> None:
    async with origins(answering("a", 503), answering("b", 503)) as (a, b):
        response = await group(live_targets(), a.url, b.url, retry={"attempts": 1, "on": ["503"]}).send(context())
        assert response.status == 503
        assert await body_of(response) == "b"


async def test_an_idle_connection_that_was_closed_meanwhile_is_not_the_clients_bad_luck() -> None:
    once = (READ_HEAD, Send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"), READ_HEAD, CLOSE)
    async with running_evil_origin(*once, then=answering("b")) as origin:
        upstream = group(live_targets(), origin.url, retry={"attempts": 0})
        assert await ask(upstream) == "a"
        assert await ask(upstream) == "b"


async def test_a_target_that_keeps_failing_is_left_alone() -> None:
    async with origins((READ_HEAD, RESET), answering("b")) as (a, b):
        upstream = group(live_targets(), a.url, b.url)
        assert {await ask(upstream) for _ in range(30)} == {"b"}
        assert len(a.connections) == 5


async def test_the_last_target_is_never_ejected() -> None:
    async with origins((READ_HEAD, RESET)) as (a,):
        upstream = group(live_targets(), a.url, retry={"attempts": 0})
        for _ in range(12):
            with pytest.raises(UpstreamError):
                await upstream.send(context())
        assert len(a.connections) == 12


async def test_a_client_that_goes_is_not_the_targets_fault_and_leaves_nothing_behind() -> None:
    async with origins((READ_HEAD, HANG)) as (a,):
        targets = live_targets()
        upstream = group(targets, a.url)
        live = upstream._members[0].live
        for count in range(1, 7):
            asking = asyncio.create_task(upstream.send(context()))
            await a.connected(count)
            assert live.in_flight == 1
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert live.in_flight == 0
        assert live.standing.failures_in_a_row == 0


async def test_a_request_is_in_flight_until_its_body_is_over() -> None:
    async with origins(answering("a")) as (a,):
        upstream = group(live_targets(), a.url)
        live = upstream._members[0].live
        response = await upstream.send(context())
        assert live.in_flight == 1
        assert await body_of(response) == "a"
        assert live.in_flight == 0
        response = await upstream.send(context())
        response.abort()
        response.abort()
        assert live.in_flight == 0


async def test_more_requests_than_the_upstream_takes_are_refused_at_once() -> None:
    async with origins(answering("a")) as (a,):
        upstream = group(live_targets(), a.url, max_connections=1)
        first = await upstream.send(context())
        with pytest.raises(EdgeError) as caught:
            await upstream.send(context())
        assert (caught.value.status, caught.value.code) == (503, "overloaded")
        first.abort()
        assert await ask(upstream) == "a"


async def test_what_is_known_of_a_target_outlives_its_upstreams_swap() -> None:
    async with origins(answering("a")) as (a,):
        targets = live_targets()
        before = group(targets, a.url)
        assert await ask(before) == "a"
        after = group(targets, a.url, response_timeout="1s")
        before.close()
        before.close()
        assert await ask(after) == "a"
        assert len(a.connections) == 1
        after.close()
        assert len(targets) == 0
        await asyncio.wait_for(a.connections[0].over.wait(), 5)


async def test_a_target_that_checks_find_unhealthy_takes_nothing_until_they_find_it_well() -> None:
    well = asyncio.Event()
    checked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (200 if well.is_set() else 500))
        checked.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    health = {"path": "/h", "interval": "20ms", "timeout": "20ms", "healthy_after": 1, "unhealthy_after": 2}
    upstream = group(live_targets(), url, health=health)
    live = upstream._members[0].live
    async with asyncio.timeout(5):
        while live.is_healthy:
            checked.clear()
            await checked.wait()
            await asyncio.sleep(0)
    with pytest.raises(EdgeError) as caught:
        await upstream.send(context())
    assert (caught.value.status, caught.value.code) == (503, "no_target")
    well.set()
    async with asyncio.timeout(5):
        while not live.is_healthy:
            checked.clear()
            await checked.wait()
            await asyncio.sleep(0)
    upstream.close()
    server.close()


@pytest.mark.parametrize("by", [{"header": "X-User"}, {"cookie": "user"}, "ip"])
async def test_a_hash_keeps_a_caller_with_its_target(by: Any) -> None:
    async with origins(*(answering(name) for name in "abc")) as found:
        upstream = group(live_targets(), *(each.url for each in found), balance={"hash": by})
        for user in ("u1", "u2", "u3"):
            told = {"X-User": user, "Cookie": f"a=b; user={user}"}
            assert len({await ask(upstream, context(**told)) for _ in range(4)}) == 1


async def test_a_split_sends_each_upstream_its_share() -> None:
    async with origins(answering("a"), answering("b")) as (a, b):
        targets = live_targets()
        draws = iter([0.0, 0.5, 0.89, 0.91, 0.99])
        split = SplitTransport(
            [(group(targets, a.url), 90), (group(targets, "http://127.0.0.1:1"), 0), (group(targets, b.url), 10)],
            lambda: next(draws),
        )
        assert [await body_of(await split.send(context())) for _ in range(5)] == ["a", "a", "a", "b", "b"]


@pytest.mark.parametrize(
    ("field", "value"), [("user=7", "7"), ("a=b; user=7; user=8", "7"), ("a=b", None), ("", None), ("user", "")]
)
def test_a_cookie_is_found_by_its_name(field: str, value: str | None) -> None:
    assert cookie(field, "user") == value
