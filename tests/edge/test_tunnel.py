"""The end of a tunnel whose target is reached by TLS; what else a tunnel does is in `test_connection.py`."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from pathlib import Path

import pytest

from edge.pool import Address, ConnectionPool
from edge.tunnel import Tunnel
from edge.upstreams.names import Name, Resolver
from tests.fakes.tls import Authority, running_blunt_server
from tests.fakes.waiting import until

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
SIZE_BYTES = 200_000


class Client:
    """The client's end; it has no connection, as what reaches it is all that counts here."""

    transport: asyncio.Transport | None = None
    writing_paused = True


class Heard(Tunnel):
    """A tunnel that counts what its target says."""

    def from_upstream(self, data: bytes) -> None:
        self.bytes_from_upstream += len(data)


@pytest.mark.parametrize("says_goodbye", [True, False])
async def test_what_a_target_said_before_it_left_reaches_a_client_who_was_not_ready_for_it(
    says_goodbye: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Authority()
    said = SWITCH + b"x" * SIZE_BYTES
    with ours.trusted(tmp_path, monkeypatch):
        async with running_blunt_server(said, ours.server("shop.test"), says_goodbye=says_goodbye) as port:
            name = Name("shop.test", "acme", Resolver(lambda _: (ip_address("127.0.0.1"),)))
            address = Address("shop.test", port, is_tls=True)
            pool = ConnectionPool(address, connect_timeout_s=5.0, allow=lambda _: True, name=name)
            connection = await pool.acquire()
            connection.begin("GET", asks_upgrade=True)
            connection.write(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
            await connection.head()
            tunnel = Heard(Client(), connection, 30.0)
            assert connection.transport is not None
            connection.start_tunnel(tunnel)
            connection.transport.pause_reading()  # as a tunnel does whose client does not read
            await until(lambda: connection.transport is None, 5)
            assert tunnel.bytes_from_upstream == SIZE_BYTES
            tunnel.close()
