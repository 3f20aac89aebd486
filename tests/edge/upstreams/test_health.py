from __future__ import annotations

from ipaddress import ip_network

import pytest

from edge.pool import Address, ConnectionPool
from edge.upstreams.health import Health, after_check, is_answering
from store.model import HealthCheck
from tests.fakes.origins import HANG, READ_HEAD, Send, refusing_port, running_evil_origin

SETTINGS = HealthCheck.model_validate({"path": "/healthz", "timeout": "100ms"})


@pytest.mark.parametrize(
    ("outcomes", "verdicts"),
    [
        ("ff", "hh"),
        ("fff", "hhu"),
        ("ffpff", "hhhhh"),
        ("fffp", "hhuu"),
        ("fffpp", "hhuuh"),
        ("fffpfpp", "hhuuuuh"),
    ],
)
def test_a_verdict_turns_after_enough_outcomes_in_a_row(outcomes: str, verdicts: str) -> None:
    health, found = Health(), ""
    for outcome in outcomes:
        health = after_check(health, SETTINGS, is_passed=outcome == "p")
        found += "h" if health.is_healthy else "u"
    assert found == verdicts


def pool(port: int) -> ConnectionPool:
    return ConnectionPool(
        Address("127.0.0.1", port), connect_timeout_s=1.0, allow=lambda ip: ip in ip_network("127.0.0.0/8")
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False),
        (b"nonsense\r\n\r\n", False),
        (b"", False),
    ],
)
async def test_an_answer_below_400_in_time_is_a_pass(answer: bytes, expected: bool) -> None:
    async with running_evil_origin(READ_HEAD, Send(answer), HANG) as origin:
        assert await is_answering(pool(origin.port), SETTINGS) is expected
        head = bytes(origin.connections[0].received)
    assert head.startswith(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:")


async def test_a_port_that_refuses_is_no_pass() -> None:
    with refusing_port() as port:
        assert not await is_answering(pool(port), SETTINGS)
