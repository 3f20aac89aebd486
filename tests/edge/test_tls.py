"""Clients by HTTPS: admitted when they connect, and served once they have shaken hands in time."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from edge.census import ConnectionLimits
from edge.connection import ClientConnection
from edge.context import ProxyResponse
from edge.exchange import Exchange
from edge.listener import Listener
from edge.server import EdgeServer
from edge.tls import CertificateError, TlsDoor, server_tls
from loadtest.node import StartError, running_node
from tests.fakes.waiting import until

REQUEST = b"GET /hello HTTP/1.1\r\nHost: shop.test\r\n\r\n"


@dataclass
class Door:
    """A listener for HTTPS that answers with what it was asked for."""

    port: int
    server: EdgeServer
    door: TlsDoor
    listener: Listener
    trusting: ssl.SSLContext

    async def connect(self, **options: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1",
            self.port,
            ssl=self.trusting,
            server_hostname="shop.test",
            **options,  # type: ignore[arg-type]
        )


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, trustme.CA]:
    authority = trustme.CA()
    certificate = authority.issue_cert("shop.test")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(str(cert))
    certificate.private_key_pem.write_to_path(str(key))
    return cert, key, authority


@asynccontextmanager
async def running_door(
    files: tuple[Path, Path, trustme.CA], handshake_timeout_s: float = 5.0, **limits: int
) -> AsyncIterator[Door]:
    async def serve(connection: ClientConnection, exchange: Exchange) -> None:
        await exchange.respond(ProxyResponse.of(200, (), f"{exchange.scheme} {exchange.raw_path}".encode()))

    server = EdgeServer(serve, ConnectionLimits(**limits))  # type: ignore[arg-type]
    door = TlsDoor(server, server_tls(files[0], files[1]), handshake_timeout_s)
    sock = socket.create_server(("127.0.0.1", 0))
    listener = Listener((), server, [sock], door)
    await listener.start()
    trusting = ssl.create_default_context()
    files[2].configure_trust(trusting)
    try:
        yield Door(sock.getsockname()[1], server, door, listener, trusting)
    finally:
        await listener.drain(0.1)
        sock.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return await reader.readexactly(len(b"https /hello"))


async def test_a_client_that_shakes_hands_is_served_and_keeps_its_connection(
    files: tuple[Path, Path, trustme.CA],
) -> None:
    async with running_door(files) as door:
        reader, writer = await door.connect()
        assert [await ask(reader, writer) for _ in range(3)] == [b"https /hello"] * 3
        link = writer.get_extra_info("ssl_object")
        assert link.version() in ("TLSv1.2", "TLSv1.3")
        writer.close()
        assert door.server.census.accepted == 1


async def test_only_http_1_is_spoken_and_nothing_older_than_tls_1_2(files: tuple[Path, Path, trustme.CA]) -> None:
    async with running_door(files) as door:
        door.trusting.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await door.connect()
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        writer.close()
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            door.trusting.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            door.trusting.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await door.connect()


async def test_a_request_that_comes_in_one_piece_with_the_end_of_the_handshake_is_served(
    files: tuple[Path, Path, trustme.CA],
) -> None:
    async with running_door(files) as door:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        link = door.trusting.wrap_bio(incoming, outgoing, server_hostname="shop.test")
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        with suppress(ssl.SSLWantReadError):
            link.do_handshake()
        writer.write(outgoing.read())
        while True:
            incoming.write(await reader.read(65536))
            try:
                link.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        link.write(REQUEST)
        writer.write(outgoing.read())  # the end of the handshake and the request, in one write
        got = b""
        async with asyncio.timeout(5):
            while b"https /hello" not in got:
                incoming.write(await reader.read(65536))
                with suppress(ssl.SSLWantReadError):
                    got += link.read(65536)
        writer.close()


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01", REQUEST, b"\x16\x03\x01\x02\x00" + b"x" * 512])
async def test_who_does_not_shake_hands_in_time_is_cut_off_and_counted(
    files: tuple[Path, Path, trustme.CA], said: bytes
) -> None:
    async with running_door(files, handshake_timeout_s=0.2) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        writer.write(said)
        async with asyncio.timeout(20):
            with suppress(ConnectionError):
                await reader.read()
        await until(lambda: not door.door.shaking)
        assert door.server.census.met["handshake"] == 1
        assert not door.server.census._by_subscriber
        writer.close()


async def test_who_goes_in_the_middle_of_its_handshake_leaves_nothing_behind(
    files: tuple[Path, Path, trustme.CA],
) -> None:
    async with running_door(files) as door:
        _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        await until(lambda: len(door.door.shaking) == 1)
        writer.close()
        await until(lambda: not door.door.shaking)
        assert not door.server.census._by_subscriber


async def test_handshakes_count_for_the_worker_and_for_their_address(files: tuple[Path, Path, trustme.CA]) -> None:
    for bound, name in (("max_connections", "connections"), ("max_per_address", "address")):
        async with running_door(files, **{bound: 2}) as door:
            silent = [await asyncio.open_connection("127.0.0.1", door.port) for _ in range(2)]
            await until(lambda: len(door.door.shaking) == 2)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await door.connect()
            assert door.server.census.met[name] == 1
            for _, writer in silent:
                writer.close()
            await until(lambda: not door.door.shaking)
            reader, writer = await door.connect()
            assert await ask(reader, writer) == b"https /hello"
            writer.close()


async def test_a_drain_does_not_wait_for_who_does_not_shake_hands(files: tuple[Path, Path, trustme.CA]) -> None:
    async with running_door(files, handshake_timeout_s=60) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        await until(lambda: len(door.door.shaking) == 1)
        async with asyncio.timeout(5):
            await door.listener.drain(0.1)
            with suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


def test_what_is_wrong_with_a_certificate_is_said_in_one_line(
    files: tuple[Path, Path, trustme.CA], tmp_path: Path
) -> None:
    cert, key, _ = files
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("shop.test").private_key_pem.write_to_path(str(other))
    for pair in ((cert, tmp_path / "none"), (tmp_path / "none", key), (key, key), (cert, other)):
        with pytest.raises(CertificateError, match="cannot use the certificate") as caught:
            server_tls(*pair)
        assert "\n" not in str(caught.value)


async def test_a_node_serves_https_and_says_so(files: tuple[Path, Path, trustme.CA], redis_url: str) -> None:
    tls = {"PORTICO_LISTEN_TLS": "127.0.0.1:0", "PORTICO_TLS_CERT": str(files[0]), "PORTICO_TLS_KEY": str(files[1])}
    async with running_node(redis_url, workers=1, **tls) as node:
        port = int(next(line for line in node.said if "https://" in line).split("https://127.0.0.1:")[1].split()[0])
        trusting = ssl.create_default_context()
        files[2].configure_trust(trusting)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="shop.test")
        writer.write(REQUEST)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 421 ")  # nobody's host, but a connection
        writer.close()
    with pytest.raises(StartError, match="cannot use the certificate"):
        async with running_node(redis_url, workers=1, **{**tls, "PORTICO_TLS_KEY": "/none"}):
            pass
    with pytest.raises(StartError, match="--listen-tls: needs a certificate and its key"):
        async with running_node(redis_url, workers=1, PORTICO_LISTEN_TLS="127.0.0.1:0"):
            pass
