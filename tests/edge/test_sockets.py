from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from edge.sockets import BindError, address_of, bind_for_workers, close_all
from store.setting_values import Address

FREE = Address("127.0.0.1", 0)


def test_each_worker_gets_one_socket_per_address_all_workers_on_the_same_ports() -> None:
    sockets = bind_for_workers([FREE, FREE], 3)
    try:
        assert [len(mine) for mine in sockets] == [2, 2, 2]
        first, second = (address_of(sock).port for sock in sockets[0])
        assert first != second
        assert all([address_of(sock).port for sock in mine] == [first, second] for mine in sockets)
    finally:
        for mine in sockets:
            close_all(mine)


def test_nobody_is_accepted_before_a_worker_listens() -> None:
    [[sock]] = bind_for_workers([FREE], 1)
    with sock, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", address_of(sock).port), timeout=5)


@pytest.mark.parametrize("shares_port", [False, True])
def test_a_port_in_use_is_an_error_that_names_it_even_if_its_holder_would_share_it(shares_port: bool) -> None:
    with socket.socket() as taken:
        if shares_port:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BindError) as caught:
            bind_for_workers([FREE, Address("127.0.0.1", port)], 2)
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: it is in use"


def test_a_name_that_does_not_resolve_is_an_error_that_names_it() -> None:
    with pytest.raises(BindError, match=r"cannot listen on no\.such\.host\.invalid:80"):
        bind_for_workers([Address("no.such.host.invalid", 80)], 1)


def test_of_what_a_client_does_not_read_the_system_takes_little() -> None:
    [[sock]] = bind_for_workers([FREE], 1)
    with sock, socket.socket() as client:
        sock.listen()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", address_of(sock).port))
        sock.setblocking(True)
        accepted, _ = sock.accept()
        with accepted:
            accepted.setblocking(False)
            taken_bytes = 0
            with suppress(BlockingIOError):
                while taken_bytes < 8 << 20:
                    taken_bytes += accepted.send(bytes(40 * 1024))
    assert taken_bytes <= 256 * 1024
