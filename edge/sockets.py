"""Sockets: those that listen, bound once by the master, one for each worker and address, all on the same port.

The kernel spreads connections over the sockets of a port (SO_REUSEPORT). Because the master holds them, the
connections that wait on a worker's socket while that worker is dead are there for the one that follows it.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Sequence

from store.setting_values import Address

UNSENT_BYTES = 128 * 1024
"""How much of what we have written a connection's system buffer may hold beyond what is on its way to the peer.

Without it Linux takes up to 4 MiB for somebody who does not read (`tcp_wmem`); two thousand used up what a machine
of 24 GiB has for all TCP. What is on the way is not bounded, so long and fast lines are as fast as before.
"""


class BindError(Exception):
    """An address cannot be had; the message is one line and names it."""


def bind_for_workers(addresses: Sequence[Address], workers: int) -> list[tuple[socket.socket, ...]]:
    """Bind every address once for each worker; element i is what worker i accepts on. Raises BindError.

    The sockets do not listen yet, so a connection is refused until a worker is ready for it.
    """
    by_address: list[list[socket.socket]] = []
    try:
        for address in addresses:
            by_address.append([])
            bind_all(address, workers, into=by_address[-1])
    except BindError:
        for sockets in by_address:
            close_all(sockets)
        raise
    return list(zip(*by_address, strict=True))


def bind_all(address: Address, count: int, *, into: list[socket.socket]) -> None:
    """Bind one address `count` times, port 0 meaning the same free port for all, adding to `into`."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, where = found[0][0], found[0][4]
        # Another process may have the port with SO_REUSEPORT too, and ours would quietly share its traffic.
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
        for _ in range(count):
            sock = socket.socket(family, socket.SOCK_STREAM)
            into.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound_unsent(sock)
            sock.setblocking(False)
            sock.bind(where)
            where = sock.getsockname()
    except OSError as error:
        raise BindError(f"cannot listen on {address}: {reason_of(error)}") from error


def bound_unsent(sock: socket.socket) -> None:
    """Bound what the system holds unsent for this socket, or for each connection that is accepted on it."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def has_unread(fileno: int) -> bool:
    """Say whether a connection has something to be read, its end among that; without reading it, or waiting."""
    look = select.poll()
    look.register(fileno, select.POLLIN)
    return bool(look.poll(0))


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close the sockets."""
    for sock in sockets:
        sock.close()


def address_of(sock: socket.socket) -> Address:
    """Return where a socket is bound."""
    host, port = sock.getsockname()[:2]
    return Address(host, port)


def reason_of(error: OSError) -> str:
    """Say in a few words why an address cannot be had."""
    return "it is in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
