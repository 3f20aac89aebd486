"""Connections that do nothing: each makes one request, and stays.

    python -m loadtest.compare.idle_load PORT HOST COUNT

Says `ready` when all are there, and leaves when its standard input ends; exit status 1 when one was closed meanwhile.
"""

from __future__ import annotations

import resource
import select
import socket
import sys

PER_ADDRESS = 10_000  # an address has some 28,000 ports for outgoing connections, shared with others
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; Python names it from 3.12
TIMEOUT_S = 10.0
SPARE_FILES = 64


def opened(port: int, host: str, number: int) -> socket.socket:
    """Open a connection, from an address of loopback that has ports left, and use it once."""
    link = socket.socket()
    link.settimeout(TIMEOUT_S)
    link.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    link.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
    link.connect(("127.0.0.1", port))
    link.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    received = b""
    while not is_whole(received):
        data = link.recv(4096)
        if not data:
            raise ConnectionError(f"connection {number} was closed")
        received += data
    return link


def is_whole(received: bytes) -> bool:
    """Say whether an answer with a length is all there. Raises ConnectionError when it is not a 200."""
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ConnectionError(f"not a 200: {head.splitlines()[0].decode(errors='replace')}")
    return len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])


def closed_among(links: list[socket.socket]) -> int:
    """Count those that the other side has closed: nothing else can make them readable."""
    waiting = select.poll()
    for link in links:
        waiting.register(link, select.POLLIN | select.POLLHUP)
    return len(waiting.poll(0))


def main(port: int, host: str, count: int) -> int:
    """Open, wait, and look whether all are still there."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if count + SPARE_FILES > limit:
        print(f"{count} connections need more open files than {limit}", file=sys.stderr)
        return 1
    links = [opened(port, host, number) for number in range(count)]
    print("ready", flush=True)
    sys.stdin.read()
    closed = closed_among(links)
    if closed:
        print(f"{closed} of {count} idle connections were closed", file=sys.stderr)
    return int(closed > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
