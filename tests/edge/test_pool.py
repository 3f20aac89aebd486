"""New connections by TLS: who is believed, what is offered, how they end, and that nobody shares them."""

from __future__ import annotations

import asyncio
import ssl
from ipaddress import ip_address, ip_network

import pytest

from edge.answer import UpstreamError
from edge.pool import Address, ConnectionPool, client_tls
from edge.transport import UpstreamConnection
from edge.upstreams.health import is_answering
from edge.upstreams.names import IPAddress, Name, Resolver
from store.model import HealthCheck
from tests.fakes.origins import HANG, READ_HEAD, Send, running_evil_origin
from tests.fakes.tls import (
    Authority,
    Polite,
    Script,
    running_blunt_server,
    running_polite_server,
    running_tls_server,
)
from tests.fakes.waiting import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
pytestmark = pytest.mark.usefixtures("trust")


def is_loopback(ip: IPAddress) -> bool:
    return ip in ip_network("127.0.0.0/8")


def here(_host: str) -> tuple[IPAddress, ...]:
    return (ip_address("127.0.0.1"),)


def pool_to(port: int, host: str = "shop.test", timeout_s: float = 5.0, *, is_tls: bool = True) -> ConnectionPool:
    """A pool to a target, by https mostly, whose name resolves to this machine."""
    address = Address(host, port, is_tls=is_tls, server_name=host)
    name = Name(host, "acme", Resolver(here))
    return ConnectionPool(address, connect_timeout_s=timeout_s, allow=is_loopback, name=name)


def answering(*answer: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in answer:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(piece)
        await reader.read()

    return script


async def ask(connection: UpstreamConnection) -> bytes:
    connection.begin("GET", asks_upgrade=False)
    connection.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    connection.fail_after(5.0)
    _, payload, _ = await connection.head()
    body = b""
    while data := await payload.readany():
        body += data
    connection.finish()
    return body


async def fault(pool: ConnectionPool) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await pool.acquire()
    assert not caught.value.is_request_sent
    assert pool.counters.connections == 0
    return caught.value


async def test_a_target_is_asked_for_its_own_name_by_http_1_1_and_modern_tls(ours: Authority) -> None:
    server = ours.server("shop.test")
    async with running_tls_server(answering(OK, OK), server) as port:
        pool = pool_to(port)
        connection = await pool.acquire()
        assert await ask(connection) == b"ok"
        assert server.asked_for == ["shop.test"]
        assert connection.transport is not None
        link = connection.transport.get_extra_info("ssl_object")
        assert link.selected_alpn_protocol() == "http/1.1"
        assert link.version() in {"TLSv1.2", "TLSv1.3"}
        assert await pool.acquire() is connection
        assert await ask(connection) == b"ok"
        assert len(server.asked_for) == 1
        pool.close()


async def test_a_target_that_is_an_address_proves_the_address_and_is_asked_for_no_name(ours: Authority) -> None:
    server = ours.server("127.0.0.1")
    async with running_tls_server(answering(OK), server) as port:
        pool = pool_to(port, "127.0.0.1")
        assert await ask(await pool.acquire()) == b"ok"
        assert server.asked_for == [None]
        pool.close()
    async with running_tls_server(answering(OK), ours.server("127.0.0.2")) as port:
        assert (await fault(pool_to(port, "127.0.0.1"))).code == "upstream_connect"


@pytest.mark.parametrize(
    ("names", "is_expired", "why"),
    [
        (("other.test",), False, "Hostname mismatch"),
        (("*.shop.test",), False, "Hostname mismatch"),
        (("shop.test",), True, "certificate has expired"),
    ],
)
async def test_a_certificate_that_does_not_prove_the_name_now_is_a_502(
    ours: Authority, names: tuple[str, ...], is_expired: bool, why: str
) -> None:
    async with running_tls_server(answering(OK), ours.server(*names, is_expired=is_expired)) as port:
        error = await fault(pool_to(port))
        assert (error.code, error.status) == ("upstream_connect", 502)
        assert why in error.detail


async def test_a_certificate_of_an_authority_nobody_trusts_is_a_502() -> None:
    async with running_tls_server(answering(OK), Authority().server("shop.test")) as port:
        error = await fault(pool_to(port))
        assert (error.code, error.status) == ("upstream_connect", 502)
        assert "local issuer certificate" in error.detail


async def test_a_target_with_an_old_tls_alone_is_a_502(ours: Authority) -> None:
    server = ours.server("shop.test")
    server.context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server.context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        server.context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with running_tls_server(answering(OK), server) as port:
        assert (await fault(pool_to(port))).code == "upstream_connect"


async def test_a_target_that_speaks_no_tls_is_a_502() -> None:
    bad_request = Send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    async with running_evil_origin(bad_request, HANG) as evil:
        error = await fault(pool_to(evil.port))
        assert (error.code, error.status) == ("upstream_connect", 502)
        assert "SSLError" in error.detail


async def test_a_target_that_leaves_in_the_handshake_is_a_502() -> None:
    async with running_evil_origin() as evil:
        assert (await fault(pool_to(evil.port))).code == "upstream_connect"


async def test_a_handshake_that_never_ends_is_a_504_within_the_connect_timeout_and_leaves_no_connection() -> None:
    async with running_evil_origin(HANG) as evil:
        error = await fault(pool_to(evil.port, timeout_s=0.1))
        assert (error.code, error.status) == ("upstream_timeout", 504)
        async with asyncio.timeout(5):
            await evil.connections[0].over.wait()


async def test_a_request_that_is_given_up_in_the_handshake_leaves_no_connection() -> None:
    async with running_evil_origin(HANG) as evil:
        asking = asyncio.create_task(pool_to(evil.port).acquire())
        connection = await evil.connected(1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(5):
            await connection.over.wait()


@pytest.mark.parametrize("field", [b"", b"Connection: close\r\n"], ids=["idle", "not to be used again"])
async def test_a_connection_that_is_done_with_ends_by_the_goodbye_of_tls(
    ours: Authority, field: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.pool.GOODBYE_S", 60)  # which nobody waits for
    target = Polite(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + field + b"\r\nok")
    async with running_polite_server(target, ours.server("shop.test")) as port:
        pool = pool_to(port)
        assert await ask(await pool.acquire()) == b"ok"
        assert pool.idle_count == (0 if field else 1)
        pool.close()
        async with asyncio.timeout(20):
            await target.is_over.wait()
        assert target.has_goodbye
        await until(lambda: pool.counters.connections == 0)


async def test_a_health_check_ends_by_the_goodbye_of_tls(ours: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.pool.GOODBYE_S", 60)
    target = Polite(OK)
    async with running_polite_server(target, ours.server("shop.test")) as port:
        pool = pool_to(port)
        assert await is_answering(pool, HealthCheck.model_validate({"path": "/healthz"}))
        async with asyncio.timeout(20):
            await target.is_over.wait()
        assert target.has_goodbye


async def test_a_target_that_does_not_say_goodbye_itself_is_not_waited_for_long(
    ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.pool.GOODBYE_S", 0.1)
    frozen = asyncio.Event()

    async def freeze(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await frozen.wait()

    async with running_tls_server(freeze, ours.server("shop.test")) as port:
        pool = pool_to(port)
        assert await ask(await pool.acquire()) == b"ok"
        pool.close()
        await until(lambda: pool.counters.connections == 0, 5)
        frozen.set()


async def test_a_body_that_only_the_goodbye_ends_is_whole_with_it_and_broken_without(ours: Authority) -> None:
    async def say_goodbye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        writer.close()

    async with running_tls_server(say_goodbye, ours.server("shop.test")) as port:
        assert await ask(await pool_to(port).acquire()) == b"all of it"
    half = b"HTTP/1.1 200 OK\r\n\r\nnot all of"
    async with running_blunt_server(half, ours.server("shop.test"), says_goodbye=False) as port:
        with pytest.raises(UpstreamError) as caught:
            await ask(await pool_to(port).acquire())
        assert caught.value.code == "upstream_reset"


SIZE_BYTES = 1_000_000
IN_CHUNKS = b"".join(b"%x\r\n%b\r\n" % (1000, b"x" * 1000) for _ in range(SIZE_BYTES // 1000)) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "says_goodbye"),
    [
        (b"Content-Length: %d\r\n\r\n%b" % (SIZE_BYTES, b"x" * SIZE_BYTES), True),
        (b"Content-Length: %d\r\n\r\n%b" % (SIZE_BYTES, b"x" * SIZE_BYTES), False),
        (b"Transfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS, True),
        (b"Transfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS, False),
        (b"\r\n" + b"x" * SIZE_BYTES, True),
    ],
    ids=["sized", "sized, cut", "chunked", "chunked, cut", "to the end"],
)
async def test_a_slow_reader_gets_all_that_came_before_the_end(
    ours: Authority, answer: bytes, says_goodbye: bool
) -> None:
    whole = b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + answer
    async with running_blunt_server(whole, ours.server("shop.test"), says_goodbye=says_goodbye) as port:
        connection = await pool_to(port).acquire()
        connection.begin("GET", asks_upgrade=False)
        connection.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        _, payload, _ = await connection.head()
        size = 0
        while data := await payload.readany():
            size += len(data)
            await asyncio.sleep(0.02)  # the reader's own pace
        assert size == SIZE_BYTES


async def test_the_context_is_made_once_and_trusts_what_the_operator_says() -> None:
    assert client_tls() is client_tls()
    assert pool_to(1)._tls is pool_to(2)._tls is client_tls()
    assert client_tls().minimum_version is ssl.TLSVersion.TLSv1_2
    assert client_tls().verify_mode is ssl.CERT_REQUIRED
    assert len(client_tls().get_ca_certs()) == 1


async def test_the_address_that_is_connected_to_is_the_one_that_was_checked() -> None:
    """A name that answers differently the second time (DNS rebinding) is not asked a second time."""
    answers = iter(["127.0.0.1", "127.0.0.2"])
    checked: list[str] = []

    def rebind(_host: str) -> tuple[IPAddress, ...]:
        return (ip_address(next(answers)),)

    def allow(ip: IPAddress) -> bool:
        checked.append(str(ip))
        return str(ip) == "127.0.0.1"

    async with running_evil_origin(READ_HEAD, Send(OK), HANG) as evil:
        name = Name("shop.test", "acme", Resolver(rebind))
        pool = ConnectionPool(Address("shop.test", evil.port), connect_timeout_s=5.0, allow=allow, name=name)
        connection = await pool.acquire()
        assert connection.transport is not None
        assert connection.transport.get_extra_info("peername")[0] == "127.0.0.1"
        assert await ask(connection) == b"ok"
        assert checked == ["127.0.0.1"]
        assert next(answers) == "127.0.0.2"
        pool.close()


async def test_of_several_addresses_those_that_may_not_be_reached_are_passed_over_and_the_next_is_tried() -> None:
    def several(_host: str) -> tuple[IPAddress, ...]:
        return tuple(map(ip_address, ("10.0.0.1", "127.0.0.77", "127.0.0.1")))

    async with running_evil_origin(READ_HEAD, Send(OK), HANG) as evil:  # it listens at 127.0.0.1 alone
        name = Name("shop.test", "acme", Resolver(several))
        pool = ConnectionPool(Address("shop.test", evil.port), connect_timeout_s=5.0, allow=is_loopback, name=name)
        assert await ask(await pool.acquire()) == b"ok"
        assert pool.counters.connects == {"made": 1, "failed": 0, "timeout": 0}
        pool.close()


async def test_connections_are_counted_while_they_are_open_and_by_how_their_making_ended() -> None:
    async with running_evil_origin(READ_HEAD, Send(OK), HANG) as evil:
        pool = ConnectionPool(Address("127.0.0.1", evil.port), connect_timeout_s=5.0, allow=is_loopback)
        first = await pool.acquire()
        await pool.acquire()
        assert pool.counters.connections == 2
        assert await ask(first) == b"ok"
        assert pool.idle_count == 1
        assert pool.counters.connections == 2
        pool.close()
        await until(lambda: pool.counters.connections == 1, 5)
        refused = ConnectionPool(pool.address, connect_timeout_s=5.0, allow=lambda _: False, counters=pool.counters)
        with pytest.raises(UpstreamError):
            await refused.connect()
        assert pool.counters.connects == {"made": 2, "failed": 1, "timeout": 0}
