"""WebSocket load: small messages on several connections, and the upstream that sends them back, in one process.

    python -m loadtest.compare.websocket_load PORT UPSTREAM_PORT HOST SECONDS

Plain sockets in one epoll loop: load and upstream share a core, and must be less busy than the tunnel between them.
Each connection has one message under way. Prints JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import select
import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from time import perf_counter

CONNECTIONS = 64
TIMEOUT_S = 10.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PAYLOAD = b"m" * 32
# A text frame in one piece; masked, as a client's must be (RFC 6455 section 5.1), with zeros.
SENT = bytes((0x81, 0x80 | len(PAYLOAD))) + bytes(4) + PAYLOAD
ECHOED = bytes((0x81, len(PAYLOAD))) + PAYLOAD
HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "


def accept_of(head: bytes) -> bytes:
    """Return the answer to the Sec-WebSocket-Key of a request (RFC 6455 section 4.2.2)."""
    at = head.lower().index(b"sec-websocket-key:")
    key = head[at:].partition(b":")[2].partition(b"\r\n")[0].strip()
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def opened(port: int, host: str, upstream: socket.socket) -> tuple[socket.socket, socket.socket]:
    """Open a WebSocket and see a message there and back; returns the client's socket and the upstream's.

    Raises ConnectionError, TimeoutError.
    """
    with ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_S))
        client.sendall(HANDSHAKE.format(host=host).encode())
        served = stack.enter_context(upstream.accept()[0])
        _shake_hands(client, served)
        stack.pop_all()
    return client, served


def _shake_hands(client: socket.socket, served: socket.socket) -> None:
    for link in (client, served):
        link.settimeout(TIMEOUT_S)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    served.sendall(SWITCHED + accept_of(_head(served)) + b"\r\n\r\n")
    head = _head(client)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"no WebSocket: {head.splitlines()[0].decode(errors='replace')}")
    client.sendall(SENT)
    _expect(served, SENT)
    served.sendall(ECHOED)
    _expect(client, ECHOED)


def _head(link: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += _some(link)
    return head


def _expect(link: socket.socket, message: bytes) -> None:
    received = b""
    while len(received) < len(message):
        received += _some(link)
    if received != message:
        raise ConnectionError("what came is not what was sent")


def _some(link: socket.socket) -> bytes:
    data = link.recv(4096)
    if not data:
        raise ConnectionError("the connection was closed")
    return data


def drive(links: list[tuple[socket.socket, socket.socket]], seconds: float) -> tuple[int, float]:
    """Send, echo and receive for so long; returns the messages that came back, and the seconds it took."""
    missing: dict[int, int] = {}
    awaited: dict[int, int] = {}
    answers: dict[int, bytes] = {}
    waiting = select.epoll()
    for client, served in links:
        for link, message, answer in ((client, ECHOED, SENT), (served, SENT, ECHOED)):
            waiting.register(link, select.EPOLLIN)
            missing[link.fileno()] = awaited[link.fileno()] = len(message)
            answers[link.fileno()] = answer
        client.sendall(SENT)
    clients = frozenset(client.fileno() for client, _ in links)
    count, started = 0, perf_counter()
    until = started + seconds
    while (now := perf_counter()) < until:
        ready = [file for file, _event in waiting.poll(until - now)]
        whole = _answered(ready, missing, awaited, answers)
        count += sum(file in clients for file in whole)
    waiting.close()
    return count, perf_counter() - started


def _answered(
    ready: list[int], missing: dict[int, int], awaited: Mapping[int, int], answers: Mapping[int, bytes]
) -> list[int]:
    whole = []
    for file in ready:
        data = os.read(file, 4096)
        if not data:
            raise ConnectionError("the connection was closed")
        left = missing[file] - len(data)
        if not left:
            whole.append(file)
            os.write(file, answers[file])
            left = awaited[file]
        missing[file] = left
    return whole


def main(port: int, upstream_port: int, host: str, seconds: float) -> None:
    """Drive and print."""
    upstream = socket.create_server(("127.0.0.1", upstream_port), backlog=CONNECTIONS)
    upstream.settimeout(TIMEOUT_S)
    links = [opened(port, host, upstream) for _ in range(CONNECTIONS)]
    count, took_s = drive(links, seconds)
    print(json.dumps({"count": count, "seconds": took_s}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
