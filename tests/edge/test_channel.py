from __future__ import annotations

import socket

import pytest

from edge.channel import (
    ChannelError,
    Orders,
    Report,
    decode_question,
    decode_report,
    encode_orders,
    encode_question,
    encode_report,
    read_orders,
)


def test_orders_reach_the_worker_as_they_were_given() -> None:
    orders = Orders(1, (5, 6), {"listen": ["127.0.0.1:1"], "workers": "2"})
    master, worker = socket.socketpair()
    with master, worker:
        master.sendall(encode_orders(orders))
        assert read_orders(worker) == orders


@pytest.mark.parametrize("line", [b"", b"{}\n", b"[]\n", b'{"index": 1}\n', b"\xff\n"])
def test_orders_that_are_none_are_an_error(line: bytes) -> None:
    master, worker = socket.socketpair()
    with master, worker:
        master.sendall(line)
        master.shutdown(socket.SHUT_WR)
        with pytest.raises(ChannelError):
            read_orders(worker)


def test_a_report_and_a_question_survive_the_way() -> None:
    report = Report("serving", 3, {"portico_connections_total": 1.0}, {"revision": 7, "refused": [{"tenant": "a"}]})
    assert decode_report(encode_report(report)) == report
    assert decode_question(encode_question(3)) == 3


@pytest.mark.parametrize("line", [b"x", b"[1]", b'{"state": "serving", "mood": "good"}', b"{}"])
def test_a_report_of_another_protocol_is_an_error(line: bytes) -> None:
    with pytest.raises(ChannelError):
        decode_report(line)


@pytest.mark.parametrize("line", [b"x", b"{}", b'{"ask": "why"}'])
def test_a_question_of_another_protocol_is_an_error(line: bytes) -> None:
    with pytest.raises(ChannelError):
        decode_question(line)
